"""What missing calls take away from products with packed genotypes that were decoded with missing calls as 0.

Missing calls are few, so that one pass over the bytes that hold any costs little beside the product itself.
"""

from __future__ import annotations

from numba import njit

from gp_elm.kernels.decode import MISSING_CODE


@njit(cache=True, nogil=True)
def add_rows_at_missing(packed, n_columns, values, out):  # type: ignore[no-untyped-def]
    """Add to row j of ``out`` the values of the rows whose call in column j is missing.

    Parameters
    ----------
    packed : ndarray of uint8, shape (rows, row_bytes)
        Packed codes.
    n_columns : int
        Columns that the packed rows hold.
    values : ndarray of float64, shape (rows, k)
        Values of each row.
    out : ndarray of float64, shape (n_columns, k)
        Changed in place.
    """
    for r in range(packed.shape[0]):
        for b in range(packed.shape[1]):
            byte = packed[r, b]
            if byte & ~(byte >> 1) & 0x55:
                for j in range(4 * b, min(4 * b + 4, n_columns)):
                    if (byte >> (2 * (j & 3))) & 3 == MISSING_CODE:
                        for k in range(values.shape[1]):
                            out[j, k] += values[r, k]


@njit(cache=True, nogil=True)
def add_columns_at_missing(packed, n_columns, values, out):  # type: ignore[no-untyped-def]
    """Add to row r of ``out`` the values of the columns whose call in row r is missing.

    Parameters
    ----------
    packed : ndarray of uint8, shape (rows, row_bytes)
        Packed codes.
    n_columns : int
        Columns that the packed rows hold.
    values : ndarray of float64, shape (n_columns, k)
        Values of each column.
    out : ndarray of float64, shape (rows, k)
        Changed in place.
    """
    for r in range(packed.shape[0]):
        for b in range(packed.shape[1]):
            byte = packed[r, b]
            if byte & ~(byte >> 1) & 0x55:
                for j in range(4 * b, min(4 * b + 4, n_columns)):
                    if (byte >> (2 * (j & 3))) & 3 == MISSING_CODE:
                        for k in range(values.shape[1]):
                            out[r, k] += values[j, k]
