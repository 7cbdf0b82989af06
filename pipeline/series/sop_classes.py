"""SOP classes that this product receives (PS3.4 Table B.5-1): of CT, and of answers to results."""

from __future__ import annotations

from pydicom.uid import (
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    CTImageStorage,
    EnhancedCTImageStorage,
    EnhancedSRStorage,
    KeyObjectSelectionDocumentStorage,
    LegacyConvertedEnhancedCTImageStorage,
)

MULTI_FRAME_CT = (EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
CT_CLASSES = (CTImageStorage, *MULTI_FRAME_CT)

DOCUMENT_CLASSES = (
    KeyObjectSelectionDocumentStorage,
    BasicTextSRStorage,
    EnhancedSRStorage,
    ComprehensiveSRStorage,
    Comprehensive3DSRStorage,
)
"""Of rejection notes and assessment reports, which are read as answers to results."""
