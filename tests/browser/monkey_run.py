"""A player at the panels of a run and of a comparison: picks steps, votes, takes votes back, chooses."""

from pack.tests.browser.monkey import Player
from pack.tests.browser.page import settle, wait
from pack.tests.browser.test_compare import COMPARE, KEY

STATUS = "document.querySelector('.bakery-training .bakery-status').textContent"
STEP_OF_LORA = (None, 1, 2)
"""Steps of the run that are compared; the first is the base model."""
NUM_PROMPTS = 2


class Judge:
    """Looks at what a player's page shows of the run, and decides.

    Args:
        player: whose page has the panels while it is in no subgraph.
    """

    def __init__(self, player: Player) -> None:
        self.player, self.page, self.world, self.draw = player, player.page, player.world, player.draw
        self.votes: list[list[int]] = []
        self.choice: int | None = None
        self.num_loads = -1

    def look(self) -> None:
        """Where another workflow has come, show the comparison as it is now; else know what was shown."""
        self.player.commit()
        if self.num_loads == self.player.num_loads:
            return
        self.num_loads = self.player.num_loads
        self.page.evaluate(f"key => {COMPARE}.onExecuted({{ bakery_compare: [{{ id: key }}] }})", KEY)
        wait(self.page, "document.querySelectorAll('.bakery-compare-cell').length === 6")
        settle(self.page)  # the workflow itself has asked for it too, and either answer shows the grid
        self.know()
        self.is_pick_shown()

    def know(self) -> None:
        """Each answer about votes or the choice tells of both, whoever has changed them."""
        self.votes, self.choice = [list(vote) for vote in self.world.votes], self.world.choice

    def is_pick_shown(self) -> None:
        """Whichever tab has picked it."""
        pick = self.world.pick
        shown = "/★/.test" if pick is None else f"/★ {pick}$/.test"
        wait(self.page, f"{'!' if pick is None else ''}{shown}({STATUS})")

    def press(self, text: str) -> None:
        """Press a button of the comparison."""
        self.page.locator(".bakery-compare button", has_text=text).evaluate("button => button.click()")
        settle(self.page)

    def pick_a_step(self) -> None:
        """Pick a step in the strip, or take the pick back."""
        step = self.draw.choice([1, 2, 3])
        self.is_pick_shown()
        self.page.locator(f".bakery-cell[aria-label^='Step {step}:']").first.evaluate("cell => cell.click()")
        self.page.locator(".bakery-overlay button.bakery-primary").click()
        settle(self.page)
        self.page.keyboard.press("Escape")
        self.world.pick = None if self.world.pick == step else step
        self.is_pick_shown()

    def vote(self) -> None:
        """Vote for one of two pictures."""
        self.press("Vote blind")
        pair = self.page.locator(".bakery-pair img")
        sources = pair.evaluate_all("pictures => pictures.map((picture) => picture.src)")
        cells = [int(source.split(".png")[0][-4:]) for source in sources]
        side = self.draw.choice([0, 1])
        self.page.locator(".bakery-pair button").nth(side).evaluate("button => button.click()")
        settle(self.page)
        self.world.votes.append([cells[side], cells[1 - side]])
        self.know()
        self.press("Back")

    def take_back_a_vote(self) -> None:
        """Take back the last vote that this page knows."""
        if not self.votes:
            return
        self.press("Vote blind")
        last = self.votes[-1]
        self.press("Undo vote")
        if last in self.world.votes:
            place = len(self.world.votes) - 1 - self.world.votes[::-1].index(last)
            self.world.votes.pop(place)
        self.know()  # where another tab was quicker, what it left is shown now
        self.press("Back")

    def choose(self) -> None:
        """Choose a picture of the comparison, or take the choice back."""
        cell = self.draw.randrange(NUM_PROMPTS * len(STEP_OF_LORA))
        self.page.locator(f".bakery-compare-cell[data-cell='{cell}']").evaluate("button => button.click()")
        self.press("Chosen" if self.choice == cell else "Choose this")
        if self.choice == self.world.choice:
            is_taken = self.choice != cell
            self.world.choice = cell if is_taken else None
            step = STEP_OF_LORA[cell // NUM_PROMPTS]
            if step is not None and (is_taken or self.world.pick == step):
                self.world.pick = step if is_taken else None
        self.know()  # where another tab has chosen since, that stays and is shown now
        self.press("Back")
        self.is_pick_shown()

    ACTS = (pick_a_step, vote, take_back_a_vote, choose)
