"""The passcode and the one-time codes that open the LAN link, and the brake on guessing them."""

import hashlib
import hmac
import secrets
import threading
import time
import unicodedata
from collections import OrderedDict, deque
from collections.abc import Callable

from webui.door.origin import neighbour

ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that is read two ways: no 0 o, 1 i l
CODE_SECONDS = 900
MAX_CODES = 32
_SCRYPT_N = 2**14  # with r = 8: 16 MB and about 50 ms a guess
Clock = Callable[[], float]


def scrypt(text: str, salt: bytes) -> bytes:
    """32 bytes that are slow to guess from; RFC 7914."""
    return hashlib.scrypt(text.encode("utf-8", "surrogatepass"), salt=salt, n=_SCRYPT_N, r=8, p=1, dklen=32)


class Passcode:
    """Given by the host, or made: 8 letters and digits (2³⁹ ways), which are typed in any case and with or without the dash."""

    def __init__(self, given: str | None = None) -> None:
        self.made = given is None
        self.text = given or _made()
        self._salt = secrets.token_bytes(16)
        self._hash = scrypt(self._plain(self.text), self._salt)

    def matches(self, attempt: str) -> bool:
        """Takes as long for every attempt (about 50 ms): call it off the event loop."""
        return hmac.compare_digest(scrypt(self._plain(attempt), self._salt), self._hash)

    def _plain(self, text: str) -> str:
        text = unicodedata.normalize("NFKC", text[:400])  # a phone and a terminal write é in two ways
        return text.strip().casefold().replace("-", "").replace(" ", "") if self.made else text.strip()

    def __repr__(self) -> str:
        return f"Passcode(made={self.made})"


def _made() -> str:
    letters = "".join(secrets.choice(ALPHABET) for _ in range(8))
    return f"{letters[:4]}-{letters[4:]}"


class Codes:
    """One-time codes for the QR code: each opens the door once, within a quarter of an hour. Kept in memory, hashed."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._expiry: OrderedDict[bytes, float] = OrderedDict()

    def new(self) -> str:
        """16 letters and digits (2⁷⁹ ways); the oldest outstanding one makes room."""
        code = "".join(secrets.choice(ALPHABET) for _ in range(16))
        with self._lock:
            self._expiry[_digest(code)] = self._clock() + CODE_SECONDS
            while len(self._expiry) > MAX_CODES:
                self._expiry.popitem(last=False)
        return code

    def use(self, code: str) -> bool:
        """True once for each code."""
        with self._lock:
            expires = self._expiry.pop(_digest(code), None)
        return expires is not None and self._clock() < expires


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


class Throttle:
    """Slows guessing down: for each address after `FREE` attempts, and for all together at `A_MINUTE`. An attempt counts when it begins."""

    FREE = 5  # attempts of one address without a wait
    LONGEST = 300.0  # seconds
    FORGET = 900.0  # seconds without an attempt
    A_MINUTE = 30  # attempts of everyone together
    ADDRESSES = 4096  # remembered

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._seen: OrderedDict[str, tuple[int, float]] = OrderedDict()  # address → (attempts, when the last one was)
        self._recent: deque[float] = deque()

    def take(self, peer: str) -> float:
        """0 when an attempt may be made now (and is counted), otherwise the seconds to wait."""
        now, key = self._clock(), neighbour(peer)
        count, last = self._seen.get(key, (0, now))
        if now - last > self.FORGET:
            count = 0
        pause = min(self.LONGEST, 2.0 ** (count - self.FREE)) if count >= self.FREE else 0.0
        while self._recent and now - self._recent[0] >= 60:
            self._recent.popleft()
        everyone = 60 - (now - self._recent[0]) if len(self._recent) >= self.A_MINUTE else 0.0
        wait = max(last + pause - now, everyone, 0.0)
        if wait > 0:
            return wait
        self._seen[key] = (count + 1, now)
        self._seen.move_to_end(key)
        if len(self._seen) > self.ADDRESSES:
            self._seen.popitem(last=False)
        self._recent.append(now)
        return 0.0

    def forgive(self, peer: str) -> None:
        """The attempt was right: it and those before count no more."""
        self._seen.pop(neighbour(peer), None)
        if self._recent:
            self._recent.pop()
