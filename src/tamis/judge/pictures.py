"""Each image goes through the image processor once, however many questions are asked about it."""

from __future__ import annotations

from typing import Any


def look_once(image_processor: Any) -> None:
    """Makes an image processor remember its last images.

    The library renders one prompt a question and processes the request's images again for each: resizing a photograph
    costs more than all the tokens of a question. Within a request those images are the same objects, which is what is
    compared; they are held on to, so that no other image can come to stand at their address.
    """
    family = type(image_processor)
    last: tuple[Any, ...] = ()

    def preprocess(self: Any, images: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal last
        if not (last and not args and _same(images, last[0]) and kwargs == last[1]):
            asked = dict(kwargs)  # what is called may add its defaults
            last = (images, asked, family.preprocess(self, images, *args, **kwargs))
        found = last[2]
        return type(found)(dict(found))  # processors take entries out of what they are given

    # A class of the same name: an attribute of the object would be written into its configuration.
    image_processor.__class__ = type(family.__name__, (family,), {"preprocess": preprocess})


def _same(images: Any, others: Any) -> bool:
    if isinstance(images, list | tuple) and isinstance(others, list | tuple):
        return len(images) == len(others) and all(map(_same, images, others))
    return images is others
