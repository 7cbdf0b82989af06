"""Keep which instances a work item that was claimed names, as the closing of series asks for."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from dicom_node.logs import log
from storage.delivery.work_items import WorkItemRow
from storage.series.notifications import (
    Notice,
    NotificationKind,
    NotificationState,
    TooManyNamed,
    keep_notice,
    notification,
)


def keep_named(session: Session, item: WorkItemRow, manager_ae: str, now: datetime) -> None:
    """Keep what a work item names, unless its UID is that of a notification by somebody else."""
    uid = item.sop_instance_uid
    known = notification(session, uid)
    if known is not None and (known.kind, known.calling_ae) != (
        NotificationKind.WORK_ITEM,
        manager_ae,
    ):
        log.warning("workitem_left", workitem_uid=uid, reason="its UID is that of a notification")
        return
    notice = Notice(
        sop_instance_uid=uid,
        kind=NotificationKind.WORK_ITEM,
        state=NotificationState.AVAILABLE,
        calling_ae=manager_ae,
        series={one.series_instance_uid: one.named for one in item.inputs if one.named},
    )
    try:
        keep_notice(session, notice, now)
    except TooManyNamed as fault:  # its series are closed without it
        log.warning("workitem_left", workitem_uid=uid, reason=str(fault))
