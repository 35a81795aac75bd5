"""The floor of the polling benchmark: a Flask application that only answers with the bodies in a folder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from flask import Flask, Response, jsonify

app = Flask(__name__)


def _body(name: str) -> Any:
    return json.loads((Path(os.environ["LEAFPANEL_BENCHMARK_BODIES"]) / f"{name}.json").read_text("utf-8"))


LIST, FAILURE = _body("list"), _body("failure")


@app.get("/list")
def linked() -> Response:
    return jsonify(LIST)


@app.get("/failure")
def failure() -> tuple[Response, int]:
    return jsonify(FAILURE), 503


@app.get("/unchanged")
def unchanged() -> tuple[str, int]:
    return "", 304
