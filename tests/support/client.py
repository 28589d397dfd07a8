"""ComfyUI's HTTP API and websocket, as a program that queues workflows uses them."""

import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .events import Event
from .listener import EventListener
from .patience import Deadline, time_limit

Prompt = dict[str, dict[str, Any]]
"""A workflow in API form: node id -> {"class_type", "inputs"}."""


class PromptRejected(RuntimeError):
    """The server refused a workflow; `details` holds its answer."""

    def __init__(self, details: dict[str, Any]) -> None:
        super().__init__(json.dumps(details, indent=1)[:4000])
        self.details = details


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptResult:
    """How a queued workflow ended."""

    prompt_id: str
    status: str
    """`success`, `error` or `interrupted`."""
    outputs: dict[str, dict[str, Any]]
    """UI output by node id."""
    messages: list[tuple[str, dict[str, Any]]]
    """ComfyUI's log of the execution."""

    @property
    def error(self) -> str:
        """Text of the exception that ended it, or an empty string."""
        for name, data in self.messages:
            if name == "execution_error":
                return f"{data['node_type']} ({data['node_id']}): {data['exception_type']}: {data['exception_message']}"
        return ""

    @property
    def cached_nodes(self) -> set[str]:
        """Ids of the nodes that were not executed because nothing changed."""
        return {node for name, data in self.messages if name == "execution_cached" for node in data["nodes"]}


class ComfyClient:
    """Talks to one server; use as a context manager where the websocket is wanted.

    Args:
        url: the server's address, http://...
        on_event: called for every websocket message, in the listener's thread.
        answer_s: seconds of an idle machine in which the server must answer a request.
    """

    def __init__(self, url: str, on_event: Callable[[Event], None] | None = None, answer_s: float = 60.0) -> None:
        self.url = url.rstrip("/")
        self.answer_s = answer_s
        self.client_id = uuid.uuid4().hex
        self.listener = EventListener(self.url, self.client_id, on_event)

    def __enter__(self) -> "ComfyClient":
        self.listener.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.close()

    @property
    def events(self) -> list[Event]:
        """Websocket messages so far."""
        return self.listener.events

    def get(self, path: str, **query: str) -> Any:
        """GET `path`, return the decoded JSON."""
        return json.loads(self.get_bytes(path, **query))

    def get_bytes(self, path: str, **query: str) -> bytes:
        """GET `path`, return the body."""
        suffix = f"?{urllib.parse.urlencode(query)}" if query else ""
        with urllib.request.urlopen(f"{self.url}{path}{suffix}", timeout=time_limit(self.answer_s)) as answer:
            return bytes(answer.read())

    def post(self, path: str, content: Any = None) -> Any:
        """POST JSON, return the decoded answer, None if it is empty.

        Raises:
            urllib.error.HTTPError: the server answered with an error status.
        """
        body = json.dumps({} if content is None else content).encode()
        request = urllib.request.Request(f"{self.url}{path}", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=time_limit(self.answer_s)) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def object_info(self) -> dict[str, Any]:
        """Return the description of every node the server knows."""
        return self.get("/object_info")

    def queue(self, prompt: Prompt, workflow: dict[str, Any] | None = None) -> str:
        """Queue a workflow in API form and return its id; `workflow` is the UI form that files will carry.

        Raises:
            PromptRejected: validation failed.
        """
        content: dict[str, Any] = {"prompt": prompt, "client_id": self.client_id}
        if workflow is not None:
            content["extra_data"] = {"extra_pnginfo": {"workflow": workflow}}
        try:
            answer = self.post("/prompt", content)
        except urllib.error.HTTPError as error:
            raise PromptRejected(json.loads(error.read())) from error
        if answer.get("node_errors"):
            raise PromptRejected(answer)
        return str(answer["prompt_id"])

    def wait(self, prompt_id: str, timeout_s: float = 300.0) -> PromptResult:
        """Wait until a queued workflow has ended, `timeout_s` seconds of an idle machine at most.

        Raises:
            TimeoutError: it has not ended in time.
        """
        deadline = Deadline(timeout_s)
        while not deadline.is_over:
            history = self.get(f"/history/{prompt_id}")
            if prompt_id in history:
                return _result(prompt_id, history[prompt_id])
            time.sleep(0.1)
        raise TimeoutError(f"workflow not finished within {timeout_s:.0f} s of an idle machine")

    def run(self, prompt: Prompt, timeout_s: float = 300.0, workflow: dict[str, Any] | None = None) -> PromptResult:
        """Queue a workflow and wait for its end."""
        return self.wait(self.queue(prompt, workflow), timeout_s)

    def interrupt(self) -> None:
        """Stop what is running, as the host's cancel button does."""
        self.post("/interrupt")

    def view(self, image: dict[str, str]) -> bytes:
        """Return the file that a UI output entry ({filename, subfolder, type}) names."""
        return self.get_bytes("/view", **image)

    def free(self) -> None:
        """Drop cached results and unload models."""
        self.post("/free", {"unload_models": True, "free_memory": True})


def _result(prompt_id: str, entry: dict[str, Any]) -> PromptResult:
    messages = [(name, data) for name, data in entry["status"]["messages"]]
    names = {name for name, _ in messages}
    status = "interrupted" if "execution_interrupted" in names else entry["status"]["status_str"]
    return PromptResult(prompt_id=prompt_id, status=status, outputs=entry["outputs"], messages=messages)
