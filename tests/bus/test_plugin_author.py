# SPDX-License-Identifier: Apache-2.0
"""What somebody outside the tree does: install, build one C file, drop it in."""

import glob
import os
import shutil
import subprocess

import pytest
from broker import BUILD, SOURCE


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A distribution's layout under a folder of its own."""
    root = tmp_path_factory.mktemp("root")
    subprocess.run(["make", "-s", "-C", BUILD, "install", f"DESTDIR={root}"], check=True, capture_output=True)
    return str(root)


def find(root, name):
    found = glob.glob(f"{root}/**/{name}", recursive=True)
    assert len(found) == 1, (name, found)
    return found[0]


def test_an_installation_has_the_layout_of_a_distribution(installed):
    for name in ("sbin/arqonbusd", "arqonbus/storage-memory.so", "arqonbus/commands-builtin.so",
                 "etc/arqonbus/arqonbus.conf", "etc/arqonbus/plugins.d/10-storage-memory.conf",
                 "include/arqonbus/plugin.h", "pkgconfig/arqonbus-plugin.pc", "man8/arqonbusd.8",
                 "man7/arqonbus-protocol.7", "man5/arqonbus.conf.5"):
        find(installed, name)
    assert not glob.glob(f"{installed}/**/arqonbus/*.la", recursive=True)


def test_an_upgrade_leaves_what_was_edited(tmp_path):
    def make(target):
        done = subprocess.run(["make", "-s", "-C", BUILD, target, f"DESTDIR={tmp_path}"], check=True,
                              capture_output=True, text=True)
        return done.stdout

    assert "edited" not in make("install")
    edited, other = find(tmp_path, "arqonbus.conf"), find(tmp_path, "30-telemetry-websocket.conf")
    with open(edited, "a") as f:
        f.write("# ours\n")
    assert f"{edited} was edited" in make("install")
    assert open(edited).read().endswith("# ours\n")
    with open(os.path.join(SOURCE, "etc", "arqonbus.conf")) as shipped:
        assert open(edited + ".new").read() == shipped.read()
    assert os.path.exists(other) and not os.path.exists(other + ".new")
    make("uninstall")
    assert os.path.exists(edited) and not os.path.exists(other)


async def test_a_command_of_one_c_file_is_built_against_the_headers_and_answers(installed, start, tmp_path):
    example = tmp_path / "example"
    shutil.copytree(os.path.join(SOURCE, "plugins", "example"), example)
    pc = find(installed, "pkgconfig/arqonbus-plugin.pc")
    env = dict(os.environ, PKG_CONFIG_PATH=os.path.dirname(pc))
    include = os.path.dirname(os.path.dirname(find(installed, "include/arqonbus/plugin.h")))
    done = subprocess.run(["make", "-C", str(example), f"CPPFLAGS=-I{include}"], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    plugins = tmp_path / "plugins.d"
    shutil.copytree(os.path.join(SOURCE, "etc", "plugins.d"), plugins)
    shutil.copy(example / "hello.conf", plugins / "90-hello.conf")
    broker = start(plugins_dir=str(plugins), plugin_path=f"{BUILD}/plugins/.libs:{example}")
    ada = await broker.client()
    assert await ada.call("hello", args={"name": "Ada"}) == {"greeting": "Hello", "name": "Ada"}
    assert "hello" in {c["name"] for c in (await ada.call("help"))["commands"]}
    await ada.close()


@pytest.mark.parametrize("mode, where, says", [(0o664, "hello.so", "0664"), (0o777, ".", "0777")])
def test_p6_a_plugin_that_others_could_have_written_is_refused(tmp_path, mode, where, says):
    folder = tmp_path / "lib"
    folder.mkdir()
    for so in glob.glob(f"{BUILD}/plugins/.libs/*.so"):
        shutil.copy(so, folder)
    shutil.copy(f"{BUILD}/plugins/.libs/commands-admin.so", folder / "hello.so")
    os.chmod(folder / where, mode)
    plugins = tmp_path / "plugins.d"
    shutil.copytree(os.path.join(SOURCE, "etc", "plugins.d"), plugins)
    (plugins / "90-hello.conf").write_text("[plugin hello]\nload = hello.so\nrequired = yes\n")
    done = subprocess.run([f"{BUILD}/arqonbusd", "-t", "--config", "/dev/null", "--plugins-dir", str(plugins),
                           "--plugin-path", str(folder)], capture_output=True, text=True, timeout=20)
    assert done.returncode == 2 and says in done.stderr, done
