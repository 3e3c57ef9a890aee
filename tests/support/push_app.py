"""A handler of push tasks for gunicorn, which fails, hangs and dies as the task's number says.

Each event is one JSON line of the file in PUSH_LOG: "start" when a request comes, "done" when the
user is processed, and before it dies "die".
"""

import json
import os
import signal
import time

from flask import Flask, Response, request

from service.auth import Guard, proven, settings_from

HANG_SECONDS = 4

app = Flask(__name__)
Guard(settings_from(os.environ)).install(app)


def log(event: str, user: int) -> None:
    line = {"event": event, "user": user, "time": time.monotonic(), "pid": os.getpid()}
    file = os.open(os.environ["PUSH_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, (json.dumps(line) + "\n").encode())
    os.close(file)


@app.post("/worker/")
@proven
def worker() -> Response:
    user = int(request.form["key"])
    is_first = request.headers["X-AppEngine-TaskRetryCount"] == "0"
    log("start", user)
    if is_first and user % 20 == 1:
        log("end", user)
        return Response(status=500)
    if is_first and user % 200 == 2:
        time.sleep(HANG_SECONDS)
        return Response(status=500)
    time.sleep(0.02)
    log("done", user)
    if is_first and user % 200 == 3:
        log("die", user)
        os.kill(os.getpid(), signal.SIGKILL)
    log("end", user)
    return Response(status=204)
