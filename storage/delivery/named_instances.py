"""Keep the instances that a claimed work item names, as the closing of series asks for."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from storage.delivery.work_items import WorkItemRow
from storage.series.notifications import (
    Notice,
    NotificationKind,
    NotificationState,
    TooManyNamed,
    keep_notice,
    notification,
)


def keep_named(session: Session, item: WorkItemRow, manager_ae: str, now: datetime) -> str:
    """Keep what a work item names, unless its UID is that of a notification by somebody else.

    Returns
    -------
    str
        Why it was not kept, which only means that its series are closed without it; else empty.
    """
    uid = item.sop_instance_uid
    known = notification(session, uid)
    if known is not None and (known.kind, known.calling_ae) != (
        NotificationKind.WORK_ITEM,
        manager_ae,
    ):
        return "its UID is that of a notification"
    notice = Notice(
        sop_instance_uid=uid,
        kind=NotificationKind.WORK_ITEM,
        state=NotificationState.AVAILABLE,
        calling_ae=manager_ae,
        series={one.series_instance_uid: one.named for one in item.inputs if one.named},
    )
    try:
        keep_notice(session, notice, now)
    except TooManyNamed as fault:
        return str(fault)
    return ""
