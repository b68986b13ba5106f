import inspect
import typing

import pytest

from pathfinder import fit_curve, fit_minimum
from pathfinder.training.recipe import CurveRecipe, CurveRecipeArguments, Recipe, RecipeArguments


@pytest.mark.parametrize(
    ("fit", "arguments", "recipe"),
    [(fit_minimum, RecipeArguments, Recipe), (fit_curve, CurveRecipeArguments, CurveRecipe)],
)
def test_the_arguments_of_a_fit_are_the_fields_of_its_recipe(fit, arguments, recipe):
    wanted = typing.get_type_hints(recipe)
    assert typing.get_type_hints(arguments) == {name: wanted[name] for name in recipe.model_fields}
    assert inspect.signature(fit).parameters["recipe"].annotation == typing.Unpack[arguments]
