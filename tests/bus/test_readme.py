# SPDX-License-Identifier: Apache-2.0
"""What the README and the manuals show works as it is typed there."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest
from broker import BUILD, PATIENCE, SOURCE


def sample(language, section="Start"):
    """The README's one block of this language in a section."""
    with open(os.path.join(SOURCE, "README.md")) as f:
        text = f.read().split(f"\n## {section}\n")[1].split("\n## ")[0]
    found = re.findall(rf"```{language}\n(.*?)```", text, re.S)
    assert len(found) == 1, f"the README has {len(found)} samples of {language} in {section}"
    return found[0]


def for_port(code, port):
    assert "127.0.0.1:9100" in code
    return code.replace("127.0.0.1:9100", f"127.0.0.1:{port}")


@pytest.fixture
def chromium(tmp_path):
    """Open a page in a browser without a window."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no chromium")
    running = []

    def open_page(script):
        page = tmp_path / f"page{len(running)}.html"
        page.write_text(f"<!doctype html><meta charset=utf-8><script>{script}</script>")
        running.append(subprocess.Popen(
            [path, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--no-first-run", f"--user-data-dir={tmp_path}/profile{len(running)}", "--remote-debugging-port=0",
             page.as_uri()],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True))

    yield open_page
    for browser in running:
        os.killpg(browser.pid, signal.SIGKILL)
        browser.wait()


# What the page prints goes back over the bus, so that the test sees it.
TELL = """
console.log = (m) => ws.send(JSON.stringify({type: "event", channel: "browser:console", payload: m}));
"""


async def test_the_sample_works_in_a_browser(broker, chromium):
    ada = await broker.client()
    await ada.join("browser:console")
    await ada.join("science:explore")
    chromium(for_port(sample("js"), broker.port) + TELL)
    printed = []
    heard = None
    while heard is None or len(printed) < 2:
        message = json.loads(await asyncio.wait_for(ada.ws.recv(), 6 * PATIENCE))
        if message["channel"] == "console":
            printed.append(message["payload"])
        else:
            heard = message
    assert heard["type"] == "event" and heard["payload"] == {"message": "hi"}
    assert printed[0]["payload"]["event"] == "welcome" and printed[0]["payload"]["client_id"] == heard["from"]
    assert printed[1]["type"] == "command_response" and printed[1]["status"] == "success"
    await ada.publish("science:explore", {"message": "hello, browser"})
    message = await ada.expect(channel="console")
    assert message["payload"]["type"] == "event" and message["payload"]["payload"] == {"message": "hello, browser"}
    await ada.close()


async def test_the_sample_works_in_python(broker):
    ada = await broker.client()
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-u", "-c", for_port(sample("python"), broker.port), stdout=asyncio.subprocess.PIPE)

    async def line():
        return json.loads(await asyncio.wait_for(child.stdout.readline(), PATIENCE))

    try:
        assert (await line())["payload"]["event"] == "welcome"
        assert (await line())["status"] == "success"
        await ada.publish("science:explore", {"message": "hello, python"})
        assert (await line())["payload"] == {"message": "hello, python"}
    finally:
        child.kill()
        await child.wait()
    await ada.close()


async def test_the_sample_of_a_worker_works(broker):
    ada = await broker.client()
    children = [await asyncio.create_subprocess_exec(
        sys.executable, "-u", "-c", for_port(sample("python", "Sharing work"), broker.port),
        stdout=asyncio.subprocess.PIPE) for _ in range(2)]
    try:
        while True:
            reply = await ada.ask("channel_info", room="jobs", channel="render")
            if reply["status"] == "success" and [g["members"] for g in reply["payload"]["result"]["groups"]] == [2]:
                break
        for n in range(2):
            await ada.publish("jobs:render", {"job": n})
        for child in children:
            line = await asyncio.wait_for(child.stdout.readline(), PATIENCE)
            assert line.decode() in ("{'job': 0}\n", "{'job': 1}\n")
        while (await ada.call("channel_info", room="jobs", channel="render"))["groups"][0]["unacked"] > 0:
            pass
    finally:
        for child in children:
            child.kill()
            await child.wait()
    await ada.close()


def manual(name):
    """The text of a manual, as a reader sees it."""
    done = subprocess.run(["mandoc", "-Tascii", "-O", "width=200", os.path.join(SOURCE, "man", name)],
                          capture_output=True, text=True, check=True)
    return re.sub(".\b", "", done.stdout)


@pytest.mark.parametrize("name", ["arqonbus-commands-builtin.7", "arqonbus-commands-admin.7"])
async def test_every_command_of_the_manual_is_one_and_every_command_is_in_the_manual(broker, name):
    admin = await broker.admin()
    with open(os.path.join(SOURCE, "man", name)) as f:
        documented = set(re.findall(r"^\.Ss ([a-z_]+)$", f.read(), re.M))
    commands = (await admin.call("help"))["commands"]
    assert documented == {c["name"] for c in commands if c["admin"] == ("admin" in name)}
    text = manual(name)
    for command in commands:
        if command["name"] in documented:
            for argument in command["arguments"]:
                assert re.search(rf"\b{argument['name']}\b", text), (command["name"], argument)
    await admin.close()


async def test_every_error_code_of_the_broker_is_in_the_manual():
    with open(os.path.join(SOURCE, "include", "arqonbus", "error.h")) as f:
        codes = set(re.findall(r"\bAQB_CODE_([A-Z_]+)", f.read())) - {"OK"}
    text = manual("arqonbus-protocol.7")
    assert codes and not {c for c in codes if not re.search(rf"\b{c}\b", text)}


def test_every_flag_of_the_daemon_is_in_its_manual():
    done = subprocess.run([f"{BUILD}/arqonbusd", "--help"], capture_output=True, text=True, timeout=PATIENCE)
    flags = set(re.findall(r"--[a-z][a-z-]+", done.stdout))
    text = manual("arqonbusd.8")
    assert len(flags) > 10 and not {f for f in flags if f not in text}


def test_every_metric_has_a_help_and_a_type(broker):
    _, _, text = broker.http("/metrics")
    typed = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
    helped = set(re.findall(r"^# HELP (\S+) \S", text, re.M))
    assert typed and set(typed) == helped
    for line in text.splitlines():
        if not line.startswith("#"):
            name = re.match(r"[a-z_]+", line).group(0)
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            assert name in typed or typed.get(base) == "histogram", line
