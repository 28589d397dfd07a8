"""The real server: starts, runs a workflow, tells about it, can be interrupted and killed."""

import pytest

pytestmark = pytest.mark.server

BLUE_IMAGE = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 32, "batch_size": 1, "color": 255}},
    "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
}


def test_workflow_gives_history_image_and_events(comfy_server):
    with comfy_server.client() as client:
        result = client.run(BLUE_IMAGE)
        assert result.status == "success", result.error
        assert client.view(result.outputs["2"]["images"][0]).startswith(b"\x89PNG")
        finished = client.listener.wait_for(lambda event: event.type == "execution_success")
        assert finished.data["prompt_id"] == result.prompt_id


def test_refused_workflow_says_why(comfy_server):
    from pack.tests.support.client import PromptRejected

    wrong = {**BLUE_IMAGE, "1": {"class_type": "EmptyImage", "inputs": {"width": 64}}}
    with pytest.raises(PromptRejected, match="height"):
        comfy_server.client().queue(wrong)


@pytest.mark.full
def test_restart_after_kill(tmp_path):
    from pack.tests.support.fixtures import comfyui_or_give_up
    from pack.tests.support.server import ComfyServer

    server = ComfyServer(comfyui_or_give_up(), tmp_path, extra_args=["--disable-all-custom-nodes"])
    server.start()
    server.kill()
    assert not server.is_running
    server.start()
    assert server.client().run(BLUE_IMAGE).status == "success"
    server.stop()
