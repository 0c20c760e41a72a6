# SPDX-License-Identifier: Apache-2.0
"""Deltas of packages: the container is opened, the content is compared, and the same container is made again bit for bit.

Read in this order: ``model`` (what a delta is), ``containers/`` (what is opened), ``encoders`` (what is made again),
``predict/`` and ``records`` (how changed content is told), ``make`` and ``apply`` (the two sides), ``plan`` (what pays).
Byte-level description: docs/formats/delta-v1.md.
"""
