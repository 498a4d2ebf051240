"""A program of its own that reads one PDF: base64 in, JSON out (`confined`).

python pdf.py PAGES  <base64  >{"result": "…"} or {"reason": "…"}
"""

import base64
import io
import json
import logging
import sys
import time
from typing import Final

from pypdf import PdfReader
from pypdf.errors import FileNotDecryptedError, WrongPasswordError

READING_SECONDS: Final = 15
"""After so much of its time no further page is begun; what was read until then is the answer."""
CHARACTERS: Final = 4_000_000


def main(pages: int) -> dict[str, str]:
    """What the standard input's PDF says on its first `pages` pages."""
    logging.disable()
    try:
        reader = PdfReader(io.BytesIO(base64.b64decode(sys.stdin.buffer.read())))
        if reader.is_encrypted and not reader.decrypt(""):
            return {"reason": "it is protected by a password"}
        texts: list[str] = []
        characters = 0
        for page in reader.pages:
            if len(texts) == pages or time.process_time() > READING_SECONDS or characters > CHARACTERS:
                break
            texts.append(page.extract_text())
            characters += len(texts[-1])
        count = len(reader.pages)
    except (FileNotDecryptedError, WrongPasswordError):
        return {"reason": "it is protected by a password"}
    except MemoryError:
        return {"reason": "it takes too much time or memory to read"}
    except Exception:  # noqa: BLE001 - whatever a library says of a file that somebody broke
        return {"reason": "it is damaged"}
    if not any(text.strip() for text in texts):
        return {"reason": "there is no text in it, only pictures"}
    parts = [f"[page {number}]\n{text.strip()}" for number, text in enumerate(texts, 1)]
    if len(texts) < count:
        parts.append(f"(It has {count} pages; only the first {len(texts)} are here.)")
    return {"result": "\n\n".join(parts).encode(errors="replace").decode()}


if __name__ == "__main__":
    json.dump(main(int(sys.argv[1])), sys.stdout)
