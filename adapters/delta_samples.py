# SPDX-License-Identifier: Apache-2.0
"""Corrections with which the helper's deflate shows who it is. Made once by tests/vectors/token_samples.py and never again: a stream of each kind of writer."""

import base64
from typing import Final

from waybill.delta.encoders import Sample

TOKENS: Final[tuple[Sample, ...]] = tuple(
    (name, base64.b64decode(text))
    for name, text in (
        # zlib 1
        ("text", "AYCABs27AgAAAAAA"),
        # zlib-ng 1
        ("text", "AYCABqKTAwQAAAAA"),
        # zlib 3
        ("text", "AYCABty1AgwAAAAA"),
        # zlib-ng 3
        ("text", "AYCABt2iAhAAAAAA"),
        # zlib 6
        ("text", "AYCABtydAh4AAAAA"),
        # zlib-ng 6
        ("text", "AYCABuKeAiKAYICABIBAAAAA"),
        # zlib 9
        ("text", "AYCABtydAjAAAAAA"),
        # zlib-ng 9
        ("text", "AYCABrKeAjQAAAAA"),
        # flushed often, small window
        ("text", "AYCABpbfAh6MEAwM/w8AgAIvAbppxkAkWsTEwMAICAAA//8="),
        # filtered
        ("text", "AYCABo2UAh6AgAQFAAAA"),
        # runs
        ("few", "AYDAAoBONgAAAAA="),
        # no matches
        ("text", "AYCABtaKAzcAAAAA"),
        # fixed code
        ("text", "AYCABq3oAh4AAEAEAAABAAE="),
        # node:9:8
        ("text", "AYCABqCbAjEAAAAA"),
        # gnu-gzip:6
        ("text", "AYCABvSdAh6AGAMBAAAA"),
        # stored
        ("noise", "AYDABIrABDeAGAL7/wMAAAA="),
        # like no writer
        (
            "text",
            (
                "AYCABtKRAwQAAD/qA8MDwwOJAwYDAexRS29bVRf12o+zrx3Hvo4/J45jX8eJnKRO/aUk6U3iqIopjyTqgKQhQtCWUtIRlVJQKKVQAUJqJ4RBhQSTSgyQQEI8"
                "JkgwZoTEGCEkBogfwQTx0HEbSNIEhMSQLdvH9+y1115r3S/oZ75Nhe9d5fGo3vgcr9ykdvOyYCAfrizyj4jiyrfAL9jGxkb52QU93ro4XQ1mHxh2XIpeuoFz"
                "iYXe/spsYr3UN5VoHiltVOLq6c0um+ExbI2fLbaC+kA+rl3vfm5OUpXuQIKR1FNydO35aiKZ60F+rPEdUsv10eRYbzwRzEYhTs0O0mZ6MfUTesaLJ6v9uWaX"
                "NKU7oYlaOkonJjNrx/tzuSf7W1ODiLJziguona6MXC9vdff8gEwp+4yUjrTiaJwvDGdOZD9BtjS3kKBv8KpVM+W3kMuV52cfnCt0HW0OV0fiGr+DsG8mGCrE"
                "66WZYKURzhduwCbDq62PkQ+TV+a3ycLVMzoznL+F1eLal0gPN+/LWnl59Hym2L56/j36CIVMZSmewCP1U6tXBur9hcdw7aQ05Njg/y9uY+LR0Z6p5d7uvun/"
                "cSGI6NJ02E6n3sanGJyeW7mNY6/Din0P53Nd7Vpb09HEBxhqLCVfuD+gr2ko+Rlcjd3Yizch4S2Uny6UNrNxezLa6k31PXR2KbhUv3wmu36t9XIjCDI4l3wD"
                "2dcwQ8FAvLhZxPs4MbjxxJsIQSCCrzsH3f3uKdpzdP7dxf0xvXO3H3nv7EEL/mTZhaCdzyFFf3dJB+PokFna3dqZJdqjbR897Y/kL+XxQUv3rNvNclhidI9o"
                "g5kSM8zEEYzgjFjBIkosEFExgQJqal4IC5u/IiM2Nuv0WMyZkccTk3m9/ldgDBYlc4CKY4UDTGHOOyJiCCm8BoWCnAqTOBjgPApqIAEzyBFBxE+ZcwSFKcOp"
                "eBPqe77FHR6Cipgn8QtMvVN2AAtIxT97CgOrT9VUvCiv1HwO6qlNvQM2MzIDg80U6sx5Ja7TNFYzOB8ZCCbGAnOsqt4UG6mCvTnHSnzHrigrfCzsvClv3LG6"
                "TrDitTqftZCwGkPMQdT5cP2L8wk5v4I9r3RojBz+q92V+AdY+lf3vvsbPvwV21/h9wAAAP//"
            ),
        ),
        # like no writer
        ("few", "AYDAAsyiAQQAACcGAwMCAKwexRy2BAICAgcHB7ZH"),
    )
)
