"""Section of the worklist manager whose work items the node performs."""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator

from config.value_types import CodedWorkitem, OptionalListener, Seconds, Section, StationName


class WorklistSettings(Section):
    """Work items (Unified Procedure Steps) that the node claims and performs: experimental."""

    manager: OptionalListener = Field(
        default="",
        description="The worklist manager, UPS@worklist.example.org:104; empty claims nothing.",
    )
    workitem_code: CodedWorkitem = Field(
        default="",
        description="Only work items with this Scheduled Workitem Code are claimed, such as"
        " 110005^DCM (code value and coding scheme); empty takes any.",
    )
    station_name: StationName = Field(
        default="",
        description="Only those with this code value in Scheduled Station Name Code Sequence, such"
        " as AINODE; empty takes any. With a manager one of the two is needed.",
    )
    claim: bool = Field(
        default=True,
        description="Whether further ones are claimed; 'no' brings to an end those that are, as"
        " before manager is taken away.",
    )
    maximum_claimed: int = Field(
        default=8, ge=1, le=100, description="Most work items that are in progress at a time."
    )
    give_up_hours: float = Field(
        default=24.0,
        gt=0,
        le=720,
        description="One whose images have not come, or whose results are not delivered, so long"
        " after it was claimed is canceled, hours.",
    )
    archive: OptionalListener = Field(
        default="",
        description="Archive from which images that are not here are fetched (C-MOVE to our AE"
        " title), PACS@pacs.example.org:104; empty waits until they are sent.",
    )
    tls: bool = Field(
        default=False, description="Whether manager and archive are called by TLS; see [tls]."
    )
    check_every_seconds: Seconds = Field(
        default=30.0, description="How often the manager is asked for work items."
    )

    @field_validator("station_name")
    @classmethod
    def _chosen(cls, name: str, info: ValidationInfo) -> str:
        given = info.data
        if given.get("manager") and not name and not given.get("workitem_code", "unusable"):
            raise ValueError(
                "a station name, or a workitem_code: else every work item of the manager is taken"
            )
        return name
