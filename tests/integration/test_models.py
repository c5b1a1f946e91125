"""The model table: read, checked, shown; what is not done with it is said."""

from plugtest import build

TABLE = """// what this machine serves
{
	"program": {"port": 8080},
	"qwen": {
		"aliases": ["qwen3-8b", "qwen"], "mode": "Chat", "port": 10001, "auto_start": true,
		"GPU": {"required_devices": ["rtx 4060"], "script_path": "run.sh", "memory_mb": {"rtx 4060": 3000}},
		"CPU": {"required_devices": ["CPU"], "command": ["serve", "--cpu"], "memory_mb": {"CPU": 9000}} /* slow */
	},
	"small": {"plugin": "actor", "alive_time": "5m", "schemes": [{"config": {"size": "8"}}]}
}
"""


def test_the_table_is_shown(site):
    site.actor()
    (site.root / "models.json").write_text(TABLE)
    site.configure("models_file: models.json\nmodels: { other: { plugin: missing } }\n")
    site.start()
    site.ready()
    document = site.ok("models")
    models = {one["name"]: one for one in document["models"]}
    assert list(models) == ["other", "qwen3-8b", "small"]
    qwen = models["qwen3-8b"]
    assert (qwen["aliases"], qwen["mode"], qwen["port"], qwen["auto_start"]) == (["qwen"], "Chat", 10001, True)
    assert [(one["name"], one["required_devices"], one["memory_mb"]) for one in qwen["schemes"]] == [
        ("GPU", ["rtx 4060"], {"rtx 4060": 3000}), ("CPU", ["CPU"], {"CPU": 9000})]
    assert qwen["schemes"][0]["command"] == [str(site.root / "run.sh")]
    assert qwen["origin"].endswith("models.json:4:2")
    assert (models["small"]["plugin_state"], models["small"]["alive_time_ms"]) == ("ready", 300000)
    assert models["other"]["plugin_state"] == ""
    assert any("auto_start" in one for one in document["not_yet"])
    text = site.ctl("models").out
    assert "qwen3-8b" in text and "does not yet" in text and "missing (not registered)" in text
    one = site.ctl("models", "qwen").out
    assert "rtx 4060: 3000 MB" in one and "serve, --cpu" in one and "small" not in one
    done = site.ctl("models", "qwem")
    assert done.status == 4 and 'did you mean "qwen"' in done.err
    assert "yet" in site.log_text()
    site.ok("upgrade", "--daemon")
    assert site.ok("models") == document


def test_without_one(site):
    site.start()
    assert site.ok("models")["models"] == []
    assert "empty" in site.ctl("models").out


def test_a_table_that_is_wrong_keeps_the_old_one(site):
    (site.root / "models.json").write_text(TABLE)
    site.configure("models_file: models.json\n")
    site.start()
    (site.root / "models.json").write_text(TABLE.replace("10001", "0"))
    done = site.ctl("reread")
    assert done.status == 1 and "models.json:5:" in done.err and "65535" in done.err
    assert len(site.ok("models")["models"]) == 2
    checked = site.run("--check")
    assert checked.status == 1 and "    5 | " in checked.err and "^" in checked.err
    (site.root / "models.json").write_text(TABLE.replace("10001", "10002"))
    site.ok("reread")
    assert site.ok("models", "qwen")["models"][0]["port"] == 10002


def test_a_table_that_changes_is_read_again(site):
    (site.root / "models.json").write_text(TABLE)
    site.configure("watch: true\nmodels_file: models.json\n")
    site.start()
    (site.root / "models.json").write_text(TABLE.replace("10001", "10002"))
    site.event("config", detail="re-read", timeout=build.seconds(30))
    assert site.ok("models", "qwen")["models"][0]["port"] == 10002
