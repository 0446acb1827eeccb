"""Near-duplicate pictures by their perceptual hashes: which rows show the same.

Rows at most `distance` bits apart are linked; a group is everything that links reach. Two hashes that differ in at
most d bits agree exactly on at least one of any d + 1 bands of bits, so only hashes that share a band are compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

PAIRWISE = 4096  # up to this many hashes, comparing all with all takes less than splitting them again
SHORT_RUN = 64  # runs up to this long are compared all runs at once, a longer one alone
FLOOD_EFFORT = 256  # hashes that _flood may compare with all others before bands take over
EDGES_HELD = 2_000_000  # links kept before they are merged into labels: 32 MB


def near_duplicate_groups(hashes: Sequence[str | None], distance: int) -> np.ndarray:
    """A group number for each row, in the order of first appearance; a row without a hash is a group of its own.

    hashes: hexadecimal, all of one length, as the scorer `duplicates` gives them. Links chain: the ends of a long
    chain may differ by more than `distance`, so keep it small (of 64 bits, 0 to 8 is usual).
    """
    labels = np.arange(len(hashes), dtype=np.int64)
    known = np.asarray([row for row, value in enumerate(hashes) if value is not None], dtype=np.int64)
    if len(known) == 0:
        return labels
    different, which = np.unique(np.asarray([hashes[row] for row in known]), return_inverse=True)
    bits = _bits(different)
    if not 0 <= distance <= bits.shape[1] // 4:
        raise ValueError(
            f"distance: {distance} is not accepted; expected 0 to {bits.shape[1] // 4} of the {bits.shape[1]} bits: "
            "beyond a quarter, pictures that have nothing in common are linked"
        )
    links = _Links(bits, distance)
    if distance > 0 and len(different) > 1:
        links.search(np.arange(len(different)), np.arange(bits.shape[1]))
    links.merge()
    # Labels of hashes start past those of rows without one, so that none coincide; then all are counted through.
    labels[known] = len(hashes) + links.labels[which]
    _, first, label_of = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[label_of]


def _bits(hashes: np.ndarray) -> np.ndarray:
    """One row of 0 and 1 a hash."""
    lengths = {len(value) for value in hashes.tolist()}
    if len(lengths) > 1:
        raise ValueError(f"hashes of {sorted(lengths)} hexadecimal digits: they come from different hash sizes")
    digits = lengths.pop()
    packed = bytes.fromhex("".join(value.zfill(digits + digits % 2) for value in hashes.tolist()))
    return np.unpackbits(np.frombuffer(packed, dtype=np.uint8).reshape(len(hashes), -1), axis=1)


class _Links:
    """Finds all pairs of different hashes at most `distance` bits apart, and labels what they connect."""

    def __init__(self, bits: np.ndarray, distance: int) -> None:
        self.bits = bits
        self.distance = distance
        self.labels = np.arange(len(bits))
        packed = np.packbits(bits, axis=1)
        packed = np.pad(packed, [(0, 0), (0, -packed.shape[1] % 8)])
        self._words = packed.view(np.uint64)
        self._edges: list[tuple[np.ndarray, np.ndarray]] = []
        self._held = 0

    def search(self, members: np.ndarray, free: np.ndarray) -> None:
        """Links these members, which agree on all bits but the free ones."""
        if len(members) > PAIRWISE:
            self.merge()
        if (self.labels[members] == self.labels[members[0]]).all():
            return
        set_bits = self.bits[np.ix_(members, free)].sum(axis=0, dtype=np.int64)
        # Bits that all members share tell nothing apart; blank pictures leave few others.
        varying = free[(set_bits > 0) & (set_bits < len(members))]
        if len(varying) <= self.distance:
            self._link(np.full(len(members) - 1, members[0]), members[1:])
            return
        if len(members) > PAIRWISE:
            members = self._flood(members)
        if len(members) == 0:
            return
        if len(members) <= PAIRWISE:
            self._compare_all(members)
            return
        set_bits = self.bits[np.ix_(members, varying)].mean(axis=0)
        evenly = varying[np.argsort(np.abs(set_bits - 0.5), kind="stable")]
        for start in range(self.distance + 1):
            band = evenly[start :: self.distance + 1]  # dealt out: each band gets its share of the telling bits
            self._search_band(members, band, np.setdiff1d(varying, band))

    def merge(self) -> None:
        """Turns the links found so far into labels."""
        if not self._edges:
            return
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        ends = [self.labels[np.concatenate(side)] for side in zip(*self._edges, strict=True)]
        graph = coo_array((np.ones(len(ends[0]), dtype=np.int8), tuple(ends)), shape=(len(self.labels),) * 2)
        self.labels = connected_components(graph, directed=False)[1][self.labels]
        self._edges, self._held = [], 0

    def _link(self, left: np.ndarray, right: np.ndarray) -> None:
        if len(left):
            self._edges.append((left, right))
            self._held += len(left)
        if self._held > EDGES_HELD:
            self.merge()

    def _near(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """For hashes given by number, whether they are within the distance; the arguments broadcast."""
        apart = np.bitwise_count(self._words[left, 0] ^ self._words[right, 0]).astype(np.uint16)
        for word in range(1, self._words.shape[1]):
            apart += np.bitwise_count(self._words[left, word] ^ self._words[right, word])
        return apart <= self.distance

    def _compare_all(self, members: np.ndarray) -> None:
        # Members already known to belong together need no comparing: the largest such party goes last, as columns.
        _, party, sizes = np.unique(self.labels[members], return_inverse=True, return_counts=True)
        in_largest = party == np.argmax(sizes)
        members = np.concatenate([members[~in_largest], members[in_largest]])
        rows = max(1, 1_000_000 // max(len(members), 1))
        for start in range(0, int((~in_largest).sum()), rows):
            block, rest = members[start : start + rows], members[start:]
            left, right = np.nonzero(self._near(block[:, None], rest[None, :]))
            self._link(block[left], rest[right])

    def _flood(self, members: np.ndarray) -> np.ndarray:
        """Follows links from hash to hash while that pays; returns the members whose links are not all known yet.

        Where hashes lie close together each step takes many of them at once, and bands would compare nearly all
        pairs. Where they do not, this ends after a fixed effort and has cost little.
        """
        unseen, seen = members, members[:0]
        for _ in range(FLOOD_EFFORT):
            if len(seen) == 0:
                if len(unseen) == 0:
                    break
                seen, unseen = unseen[:1], unseen[1:]
            one, seen = seen[0], seen[1:]
            near = self._near(np.asarray([one]), unseen)
            self._link(np.full(int(near.sum()), one), unseen[near])
            seen, unseen = np.concatenate([seen, unseen[near]]), unseen[~near]
        return np.concatenate([seen, unseen]) if len(unseen) else unseen

    def _search_band(self, members: np.ndarray, band: np.ndarray, free: np.ndarray) -> None:
        """Compares the members that agree on this band."""
        keys = np.packbits(self.bits[np.ix_(members, band)], axis=1)
        keys = np.unique(keys.view(np.dtype((np.void, keys.shape[1]))).ravel(), return_inverse=True)[1]
        order = np.argsort(keys, kind="stable")
        members, keys = members[order], keys[order]
        starts = np.flatnonzero(np.diff(keys, prepend=-1))
        lengths = np.diff(starts, append=len(keys))
        for start, length in zip(starts[lengths > SHORT_RUN], lengths[lengths > SHORT_RUN], strict=True):
            self.search(members[start : start + length], free)
        left = np.flatnonzero(np.repeat(lengths <= SHORT_RUN, lengths))
        for offset in range(1, SHORT_RUN):
            left = left[left + offset < len(keys)]
            left = left[keys[left + offset] == keys[left]]
            if len(left) == 0:
                break
            near = left[self._near(members[left], members[left + offset])]
            self._link(members[near], members[near + offset])
