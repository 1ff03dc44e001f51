"""One thing that programs do with OpenAI's own client; what came of it is said as one line of JSON."""

import json
import os
import sys

import openai

sent = []


def client(**settings):
    """Counts what really goes out, attempts that are made again included."""
    hooks = {"request": [lambda request: sent.append(str(request.url))]}
    http = openai.DefaultHttpxClient(event_hooks=hooks, trust_env=False)
    return openai.OpenAI(
        base_url=os.environ["BASE_URL"],
        api_key=os.environ["KEY"],
        timeout=30,
        http_client=http,
        **settings,
    )


def question(text="hello", **more):
    return {"model": "small", "messages": [{"role": "user", "content": text}], **more}


def whole():
    raw = client().chat.completions.with_raw_response.create(**question())
    answer = raw.parse()
    return {
        "text": answer.choices[0].message.content,
        "reason": answer.choices[0].finish_reason,
        "usage": answer.usage.model_dump(),
        "charged": raw.headers["credits-charged"],
        "timing": raw.headers["server-timing"],
        "is_completion": isinstance(answer, openai.types.chat.ChatCompletion),
    }


def stream():
    text, reason, usage, ids = "", None, None, set()
    options = {"include_usage": True}
    for chunk in client().chat.completions.create(**question(stream=True, stream_options=options)):
        ids.add(chunk.id)
        for choice in chunk.choices:
            text += choice.delta.content or ""
            reason = choice.finish_reason or reason
        usage = chunk.usage or usage
    return {"text": text, "reason": reason, "usage": usage.model_dump(), "ids": len(ids)}


def naive():
    """As most programs read a stream that they ask nothing else of."""
    text, reason = "", None
    for chunk in client().chat.completions.create(**question(stream=True)):
        text += chunk.choices[0].delta.content or ""
        reason = chunk.choices[0].finish_reason
    return {"text": text, "reason": reason}


def helper():
    """The client's own way to put chunks together again, which reads them closely."""
    with client().chat.completions.stream(**question()) as stream:
        answer = stream.get_final_completion()
    return {"text": answer.choices[0].message.content, "reason": answer.choices[0].finish_reason}


def models():
    every = list(client().models.list())
    return {"ids": [model.id for model in every], "one": client().models.retrieve("small").owned_by}


def told(error):
    body = error.body if isinstance(error.body, dict) else {}
    response = getattr(error, "response", None)
    return {
        "kind": type(error).__name__,
        "status": getattr(error, "status_code", None),
        "retry_after": response.headers.get("retry-after") if response is not None else None,
        "code": body.get("code"),
        "type": body.get("type"),
    }


def refused(**settings):
    sent.clear()
    try:
        client(**settings).chat.completions.create(**question(**json.loads(os.environ.get("MORE", "{}"))))
        error = None
    except openai.OpenAIError as failure:
        error = told(failure)
    return {"error": error, "requests": len(sent)}


def refused_once():
    return refused(max_retries=0)


def cut():
    text = ""
    try:
        for chunk in client().chat.completions.create(**question(stream=True)):
            text += chunk.choices[0].delta.content or ""
        error = None
    except openai.OpenAIError as failure:
        error = told(failure)
    return {"text": text, "error": error, "requests": len(sent)}


def leave():
    text = ""
    with client().chat.completions.create(**question(stream=True)) as chunks:
        for chunk in chunks:
            text += chunk.choices[0].delta.content or ""
            if text == "one two ":
                break
    return {"text": text}


def twice():
    headers = {"Idempotency-Key": "the same"}
    ask = client().chat.completions.with_raw_response.create
    one = ask(**question(), extra_headers=headers)
    other = ask(**question(), extra_headers=headers)
    return {
        "ids": [one.parse().id, other.parse().id],
        "texts": [raw.parse().choices[0].message.content for raw in (one, other)],
        "replayed": [raw.headers.get("idempotency-replayed") for raw in (one, other)],
    }


print(json.dumps(globals()[sys.argv[1]]()))
