# SPDX-License-Identifier: Apache-2.0
"""Benchmarks; each prints its numbers beside those of a yardstick in the same run."""
