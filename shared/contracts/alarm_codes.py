"""The catalogue of alarms: code → how bad, what it says and what to do, in zh and en.

Texts may name the parameters that `AlarmRaised.params` carries, in braces.
"""

from __future__ import annotations

from msgspec import Struct

from shared.contracts.words import Severity


class AlarmCode(Struct, frozen=True, kw_only=True):
    """One kind of alarm."""

    code: str
    severity: Severity
    title_zh: str
    title_en: str
    advice_zh: str
    advice_en: str


def _code(
    code: str, severity: Severity, title: tuple[str, str], advice: tuple[str, str]
) -> tuple[str, AlarmCode]:
    entry = AlarmCode(
        code=code,
        severity=severity,
        title_zh=title[0],
        title_en=title[1],
        advice_zh=advice[0],
        advice_en=advice[1],
    )
    return code, entry


CATALOGUE: dict[str, AlarmCode] = dict(
    [
        _code(
            "battery_over_temperature",
            Severity.CRITICAL,
            ("电池过温 {temperature_c} °C", "Battery too hot, {temperature_c} °C"),
            (
                "已停止充电。请远离车辆, 确认温度下降后再处理。",
                "Charging was stopped. Keep away from the vehicle until it has cooled down.",
            ),
        ),
        _code(
            "battery_reports_danger",
            Severity.CRITICAL,
            ("车辆电池报告异常: {condition}", "The vehicle's battery reports danger: {condition}"),
            (
                "已停止充电。请检查车辆。",
                "Charging was stopped. Have the vehicle checked.",
            ),
        ),
        _code(
            "stop_not_confirmed",
            Severity.CRITICAL,
            ("停止充电未确认", "Stop NOT confirmed"),
            (
                "电流仍未归零。请按急停按钮或切断电源。",
                "Current still flows. Press the emergency stop or cut the supply.",
            ),
        ),
        _code(
            "emergency_stop",
            Severity.CRITICAL,
            ("急停已触发", "Emergency stop"),
            (
                "查明原因后, 由下令方复位: 总部下令的由总部复位, 现场触发的在现场复位。",
                "Find the cause. Who ordered it resets it: HQ what HQ ordered, the site its own.",
            ),
        ),
        _code(
            "charge_point_offline",
            Severity.MAJOR,
            ("充电桩离线", "Charge point offline"),
            (
                "检查充电桩电源和网络。",
                "Check the charge point's power and network.",
            ),
        ),
        _code(
            "charge_point_fault",
            Severity.MAJOR,
            ("充电桩故障: {faults}", "Charge point fault: {faults}"),
            ("派人检查充电桩。", "Have the charge point checked."),
        ),
        _code(
            "duplicate_charge_point",
            Severity.MAJOR,
            ("桩编号重复: {address}", "Two charge points with one number: {address}"),
            (
                "第二台已被拒绝。检查桩编号设置。",
                "The second was refused. Check which number each of them is set to.",
            ),
        ),
        _code(
            "charge_point_garbage",
            Severity.MINOR,
            ("充电桩报文错误过多", "Charge point sends too many bad frames"),
            ("检查通信线路和协议设置。", "Check the line and the protocol settings."),
        ),
        _code(
            "encryption_unsupported",
            Severity.MAJOR,
            ("充电桩使用加密报文", "Charge point sends encrypted frames"),
            ("在充电桩上关闭加密。", "Switch encryption off at the charge point."),
        ),
        _code(
            "record_foreign",
            Severity.MAJOR,
            ("交易记录属于其他充电桩", "Transaction record of another charge point"),
            ("检查桩编号设置。", "Check the charge point's number."),
        ),
        _code(
            "record_unreadable",
            Severity.MAJOR,
            ("交易记录无法解析", "Transaction record that cannot be read"),
            (
                "账单可能缺失:检查桩固件与协议版本,并从原始报文人工补单。",
                "A bill may be missing: check firmware and dialect, and read the raw frames.",
            ),
        ),
        _code(
            "record_disputed",
            Severity.MAJOR,
            ("交易记录内容不一致", "Transaction record sent again with other content"),
            ("在待复核订单中处理。", "Decide it in the review queue."),
        ),
        _code(
            "clock_offset",
            Severity.MINOR,
            ("充电桩时钟偏差 {offset_s} 秒", "Charge point clock off by {offset_s} s"),
            (
                "计费使用站端时间; 已重新对时。",
                "Bills use the station's time; the clock was set again.",
            ),
        ),
        _code(
            "tariff_missing",
            Severity.MAJOR,
            ("没有可用的计费模型", "No tariff"),
            ("在总部发布电价。", "Publish a tariff at HQ."),
        ),
        _code(
            "tariff_not_confirmed",
            Severity.MAJOR,
            ("充电桩未确认计费模型", "Charge point has not confirmed its tariff"),
            ("检查充电桩; 该桩账单将进入复核。", "Check the charge point; its bills are reviewed."),
        ),
        _code(
            "telemetry_dropped",
            Severity.MINOR,
            ("遥测数据已丢弃 {records} 条", "{records} telemetry records dropped"),
            ("恢复与总部的连接或扩大存储。", "Restore the link to HQ or enlarge the store."),
        ),
        _code(
            "storage_failed",
            Severity.CRITICAL,
            ("存储失败: {reason}", "Storage failed: {reason}"),
            (
                "交易记录暂不确认。检查磁盘。",
                "Transaction records are not acknowledged meanwhile. Check the disk.",
            ),
        ),
        _code(
            "fact_parked",
            Severity.CRITICAL,
            ("{facts} 条事件已搁置, 未上报总部", "{facts} facts set aside, not told to HQ"),
            (
                "事件已损坏或过大, 仍保存在场站数据库。请联系支持。",
                "Each is damaged or too large, and still in the station's database. Call support.",
            ),
        ),
        _code(
            "latch_unreadable",
            Severity.CRITICAL,
            ("安全闭锁状态不可读", "Safety latch state cannot be read"),
            ("自检通过前禁止充电。", "No charging until the self-test has passed."),
        ),
        _code(
            "station_offline",
            Severity.MAJOR,
            ("场站离线", "Station offline"),
            ("检查场站网络。场站可自行继续充电。", "Check its network; it goes on charging alone."),
        ),
        _code(
            "broker_unreachable",
            Severity.CRITICAL,
            ("消息服务器不可用", "Message broker unreachable"),
            ("检查消息服务器。", "Check the broker."),
        ),
        _code(
            "batch_parked",
            Severity.MAJOR,
            ("数据无法处理, 已搁置: {error}", "A batch could not be handled: {error}"),
            ("查看搁置的数据并联系支持。", "Look at the parked batch and call support."),
        ),
    ]
)
