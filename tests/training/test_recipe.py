import inspect
import typing

import pytest

from pathfinder import fit_curve, fit_minimum
from pathfinder.errors import PathfinderError
from pathfinder.experiment.config import Config
from pathfinder.training.recipe import CurveRecipe, CurveRecipeArguments, Recipe, RecipeArguments


@pytest.mark.parametrize(
    ("fit", "arguments", "recipe"),
    [(fit_minimum, RecipeArguments, Recipe), (fit_curve, CurveRecipeArguments, CurveRecipe)],
)
def test_the_arguments_of_a_fit_are_the_fields_of_its_recipe(fit, arguments, recipe):
    wanted = typing.get_type_hints(recipe)
    assert typing.get_type_hints(arguments) == {name: wanted[name] for name in recipe.model_fields}
    assert inspect.signature(fit).parameters["recipe"].annotation == typing.Unpack[arguments]


def test_garipovs_recipe_gives_what_is_not_set():
    """Their command for curves of VGG-16 and PreResNets: batches of 128, uniform t, and the schedule of `train.py`."""
    found = CurveRecipe.parse({"recipe": "garipov", "lr": 0.015})
    assert (found.lr, found.batch_size, found.schedule, found.t) == (0.015, 128, "garipov", "uniform")
    assert CurveRecipe.parse({"recipe": "garipov"}).lr == 0.05


def test_a_curve_is_trained_by_the_fast_recipe_unless_another_is_named():
    assert CurveRecipe.parse({}) == CurveRecipe.parse({"recipe": "fast"})
    assert CurveRecipe.parse({}).t == "stratified"


def test_a_recipe_that_does_not_exist_is_named_with_those_that_do():
    with pytest.raises(PathfinderError, match="unknown recipe `slow`; choose from: fast, garipov"):
        CurveRecipe.parse({"recipe": "slow"})


def test_a_table_of_all_curves_names_a_recipe_and_each_curve_can_change_a_part_or_name_another():
    config = Config.parse(
        {
            "data": {"name": "digits"},
            "model": {"name": "mlp"},
            "curve": {"recipe": "garipov", "lr": 0.1},
            "curves": [{"kind": "polychain", "batch_size": 64}, {"kind": "bezier", "recipe": "fast"}],
        }
    )
    chain, bezier = config.all_pairs()[0].curves
    assert (chain.lr, chain.batch_size, chain.schedule, chain.t) == (0.1, 64, "garipov", "uniform")
    assert bezier.arguments == CurveRecipe.parse({"seed": bezier.seed}).model_dump()
