"""A process of its own that reads one PDF, made by anybody: base64 in, JSON out, with little memory and time.

python pdf.py PAGES  <base64  >{"text": "…"} or {"unreadable": "…"}
"""

import base64
import io
import json
import logging
import sys
import time
from contextlib import suppress
from typing import Final

MEMORY_BYTES: Final = 1 << 30
CPU_SECONDS: Final = 30
READING_SECONDS: Final = 15
"""After so much of its time no further page is begun; what was read until then is the answer."""
CHARACTERS: Final = 4_000_000


def main(pages: int) -> dict[str, str]:
    """What the standard input's PDF says on its first `pages` pages."""
    from pypdf import PdfReader  # noqa: PLC0415 - an extra, and only ever needed here
    from pypdf.errors import FileNotDecryptedError, WrongPasswordError  # noqa: PLC0415 - as above

    logging.disable()
    try:
        reader = PdfReader(io.BytesIO(base64.b64decode(sys.stdin.buffer.read())))
        if reader.is_encrypted and not reader.decrypt(""):
            return {"unreadable": "it is protected by a password"}
        texts: list[str] = []
        characters = 0
        for page in reader.pages:
            if len(texts) == pages or time.process_time() > READING_SECONDS or characters > CHARACTERS:
                break
            texts.append(page.extract_text())
            characters += len(texts[-1])
        count = len(reader.pages)
    except (FileNotDecryptedError, WrongPasswordError):
        return {"unreadable": "it is protected by a password"}
    except MemoryError:
        return {"unreadable": "it takes too much time or memory to read"}
    except Exception:  # noqa: BLE001 - whatever a library says of a file that somebody broke
        return {"unreadable": "it is damaged"}
    if not any(text.strip() for text in texts):
        return {"unreadable": "there is no text in it, only pictures"}
    parts = [f"[page {number}]\n{text.strip()}" for number, text in enumerate(texts, 1)]
    if len(texts) < count:
        parts.append(f"(It has {count} pages; only the first {len(texts)} are here.)")
    return {"text": "\n\n".join(parts).encode(errors="replace").decode()}


def confine() -> None:
    """No more memory and time than a page needs, no files written; where the system has no such limits, none."""
    with suppress(ImportError):
        import resource  # noqa: PLC0415 - not on Windows

        for limit, value in (
            (resource.RLIMIT_AS, MEMORY_BYTES),
            (resource.RLIMIT_CPU, CPU_SECONDS),
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_CORE, 0),
        ):
            resource.setrlimit(limit, (value, value))


if __name__ == "__main__":
    confine()
    json.dump(main(int(sys.argv[1])), sys.stdout)
