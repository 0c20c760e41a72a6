# SPDX-License-Identifier: Apache-2.0
"""Step packages in the real Node, under the real host."""
