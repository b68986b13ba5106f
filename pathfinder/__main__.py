"""python -m pathfinder, and the command `pathfinder`: signals are handled before anything slow is imported."""

from pathfinder.interrupts import handle_signals


def main() -> None:
    """Run the command line."""
    with handle_signals():
        from pathfinder.cli import main as run

        run()


if __name__ == "__main__":
    main()
