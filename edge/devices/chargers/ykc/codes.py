"""The code tables of YKC as data, in Chinese and English. Codes are open: unknown ones stay."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Outcome = Literal["done", "start_failed", "aborted", "unknown"]


class Text(NamedTuple):
    """What a code means."""

    zh: str
    en: str


class StopReason(NamedTuple):
    """Why a transaction ended (0x3B): whether it was done, never began, or was cut short."""

    code: int
    outcome: Outcome
    text: Text


_DONE: dict[int, Text] = {
    0x40: Text("APP远程停止", "stopped remotely from the app"),
    0x41: Text("SOC达到100%", "SOC reached 100 %"),
    0x42: Text("充电电量满足设定条件", "set energy reached"),
    0x43: Text("充电金额满足设定条件", "set amount reached"),
    0x44: Text("充电时间满足设定条件", "set time reached"),
    0x45: Text("手动停止充电", "stopped by hand"),
    **dict.fromkeys(range(0x46, 0x4A), Text("其他方式（预留）", "other, reserved")),
}
_START_FAILED: dict[int, Text] = {
    0x4A: Text(
        "充电桩控制系统故障（需重启或自恢复）", "control system fault, restart or self-recovery"
    ),
    0x4B: Text("控制导引断开", "control pilot open"),
    0x4C: Text("断路器跳位", "breaker tripped"),
    0x4D: Text("电表通信中断", "meter communication lost"),
    0x4E: Text("余额不足", "balance too low"),
    0x4F: Text("充电模块故障", "charging module fault"),
    0x50: Text("急停开入", "emergency stop active"),
    0x51: Text("防雷器异常", "surge arrester abnormal"),
    0x52: Text("BMS未就绪", "BMS not ready"),
    0x53: Text("温度异常", "temperature abnormal"),
    0x54: Text("电池反接", "battery reversed"),
    0x55: Text("电子锁异常", "electronic lock abnormal"),
    0x56: Text("合闸失败", "contactor closing failed"),
    0x57: Text("绝缘异常", "insulation abnormal"),
    0x59: Text("接收BMS握手报文BHM超时", "timeout BHM (BMS handshake)"),
    0x5A: Text("接收BMS和车辆的辨识报文BRM超时", "timeout BRM (identification)"),
    0x5B: Text("接收电池充电参数报文BCP超时", "timeout BCP (charging parameters)"),
    0x5C: Text("接收BMS完成充电准备报文BRO AA超时", "timeout BRO 0xAA (BMS ready)"),
    0x5D: Text("接收电池充电总状态报文BCS超时", "timeout BCS (total state)"),
    0x5E: Text("接收电池充电要求报文BCL超时", "timeout BCL (demand)"),
    0x5F: Text("接收电池状态信息报文BSM超时", "timeout BSM (battery state)"),
    0x60: Text(
        "GB2015电池在BHM阶段有电压，不允许充电",
        "GB 2015: battery has voltage in the BHM phase, charging not allowed",
    ),
    0x61: Text(
        "GB2015在BRO_AA时电池实际电压与BCP报文电压差距大于5%",
        "GB 2015: real battery voltage differs from BCP by more than 5 % at BRO_AA",
    ),
    0x62: Text(
        "GB2015预充电时BRO_AA变为BRO_00", "GB 2015: BRO_AA fell back to BRO_00 during pre-charge"
    ),
    0x63: Text("接收主机配置报文超时", "timeout host configuration message"),
    0x64: Text("充电机未准备就绪，未回CRO AA（老国标）", "charger not ready, no CRO AA (old GB)"),
    **dict.fromkeys(range(0x65, 0x6A), Text("其他原因（预留）", "other, reserved")),
}
_ABORTED: dict[int, Text] = {
    0x6A: Text("系统闭锁", "system interlock"),
    0x6B: Text("导引断开", "control pilot open"),
    0x6C: Text("断路器跳位", "breaker tripped"),
    0x6D: Text("电表通信中断", "meter communication lost"),
    0x6E: Text("余额不足", "balance too low"),
    0x6F: Text("交流保护动作", "AC protection"),
    0x70: Text("直流保护动作", "DC protection"),
    0x71: Text("充电模块故障", "charging module fault"),
    0x72: Text("急停开入", "emergency stop"),
    0x73: Text("防雷器异常", "surge arrester abnormal"),
    0x74: Text("温度异常", "temperature abnormal"),
    0x75: Text("输出异常", "output abnormal"),
    0x76: Text("充电无流", "no charging current"),
    0x77: Text("电子锁异常", "electronic lock abnormal"),
    0x79: Text("总充电电压异常", "total charging voltage abnormal"),
    0x7A: Text("总充电电流异常", "total charging current abnormal"),
    0x7B: Text("单体充电电压异常", "cell charging voltage abnormal"),
    0x7C: Text("电池组过温", "battery over-temperature"),
    0x7D: Text("最高单体充电电压异常", "max cell charging voltage abnormal"),
    0x7E: Text("最高电池组过温", "max battery over-temperature"),
    0x7F: Text("BMV单体充电电压异常", "BMV cell voltage abnormal"),
    0x80: Text("BMT电池组过温", "BMT battery over-temperature"),
    0x81: Text("电池状态异常", "battery state abnormal"),
    0x82: Text("车辆发报文禁止充电", "vehicle message forbids charging"),
    0x83: Text("充电桩断电", "charge point lost power"),
    0x84: Text("接收电池充电总状态报文BCS超时", "timeout BCS"),
    0x85: Text("接收电池充电要求报文BCL超时", "timeout BCL"),
    0x86: Text("接收电池状态信息报文BSM超时", "timeout BSM"),
    0x87: Text("接收BMS中止充电报文BST超时", "timeout BST"),
    0x88: Text("接收BMS充电统计报文BSD超时", "timeout BSD"),
    0x89: Text("接收对侧充电机状态报文CCS超时", "timeout CCS of the other side"),
    **dict.fromkeys(range(0x8A, 0x90), Text("其他原因（预留）", "other, reserved")),
}
_UNKNOWN: dict[int, Text] = {
    0x00: Text("无", "none given"),
    0x58: Text("预留", "reserved"),
    0x78: Text("预留", "reserved"),
    0x90: Text("未知原因停止", "unknown reason"),
}
_BY_OUTCOME: tuple[tuple[Outcome, dict[int, Text]], ...] = (
    ("done", _DONE),
    ("start_failed", _START_FAILED),
    ("aborted", _ABORTED),
    ("unknown", _UNKNOWN),
)

STOP_REASONS: Final[dict[int, StopReason]] = {
    code: StopReason(code, outcome, text)
    for outcome, texts in _BY_OUTCOME
    for code, text in texts.items()
}


def stop_reason(code: int) -> StopReason:
    """Return what `code` of 0x3B means; a code outside the table has the outcome *unknown*."""
    known = STOP_REASONS.get(code)
    return known or StopReason(code, "unknown", unknown_text(code))


def unknown_text(code: int) -> Text:
    """Return the text of a code that no table has."""
    return Text(f"未定义代码 0x{code:02X}", f"undefined code 0x{code:02X}")


FAULTS: Final[dict[int, Text]] = {
    1: Text("急停按钮动作故障", "emergency stop button"),
    2: Text("无可用整流模块", "no usable rectifier module"),
    3: Text("出风口温度过高", "air outlet over-temperature"),
    4: Text("交流防雷故障", "AC surge arrester"),
    5: Text("交直流模块DC20通信中断", "AC/DC module DC20 communication lost"),
    6: Text("绝缘检测模块FC08通信中断", "insulation module FC08 communication lost"),
    7: Text("电度表通信中断", "meter communication lost"),
    8: Text("读卡器通信中断", "card reader communication lost"),
    9: Text("RC10通信中断", "RC10 communication lost"),
    10: Text("风扇调速板故障", "fan speed board"),
    11: Text("直流熔断器故障", "DC fuse"),
    12: Text("高压接触器故障", "high-voltage contactor"),
    13: Text("门打开", "door open"),
    # From a vendor superset, seen in a charge point program; the document stops at 13.
    14: Text("交流接触器粘连", "AC contactor welded"),
    15: Text("短路", "short circuit"),
}
EMERGENCY_STOP_FAULT: Final = 1
METER_SILENT_FAULT: Final = 7


def fault_numbers(faults_raw: int, fault_bit_base: int = 2) -> tuple[int, ...]:
    """Return the set fault numbers of 0x13, lowest first, as the document counts them.

    `fault_bit_base` is the mask of fault 1 (`Dialect.fault_bit_base`). With 2, bit 0 is fault 0,
    which the document does not name; it is kept.
    """
    first = 2 - fault_bit_base  # number of the lowest bit: 0 for base 2, 1 for base 1
    return tuple(bit + first for bit in range(16) if faults_raw >> bit & 1)


def fault_text(number: int) -> Text:
    """Return the name of fault `number`."""
    return FAULTS.get(number) or Text(f"未定义故障 {number}", f"undefined fault {number}")


START_REFUSALS: Final[dict[int, Text]] = {  # 0x32, 0xA2
    0x00: Text("无", "none"),
    0x01: Text("账户不存在", "account does not exist"),
    0x02: Text("账户冻结", "account frozen"),
    0x03: Text("账户余额不足", "balance too low"),
    0x04: Text("该卡存在未结账记录", "card has an unsettled record"),
    0x05: Text("桩停用", "charge point out of service"),
    0x06: Text("该账户不能在此桩上充电", "account may not charge on this charge point"),
    0x07: Text("密码错误", "wrong password"),
    0x08: Text("电站电容不足", "station capacity insufficient"),
    0x09: Text("系统中VIN码不存在", "VIN unknown to the system"),
    0x0A: Text("该桩存在未结账记录", "charge point has an unsettled record"),
    0x0B: Text("该桩不支持刷卡", "charge point does not support cards"),
}
REMOTE_START_FAILURES: Final[dict[int, Text]] = {  # 0x33, 0xA3
    0: Text("无", "none"),
    1: Text("设备编号不匹配", "charge point number does not match"),
    2: Text("枪已在充电", "connector already charging"),
    3: Text("设备故障", "device fault"),
    4: Text("设备离线", "device offline"),
    5: Text("未插枪", "not plugged in"),
}
NOT_PLUGGED_IN: Final = 5
REMOTE_STOP_FAILURES: Final[dict[int, Text]] = {  # 0x35
    0: Text("无", "none"),
    1: Text("设备编号不匹配", "charge point number does not match"),
    2: Text("枪未处于充电状态", "connector not charging"),
    3: Text("其他", "other"),
}
BALANCE_UPDATE_RESULTS: Final[dict[int, Text]] = {  # 0x41
    0: Text("修改成功", "success"),
    1: Text("设备编号错误", "wrong charge point number"),
    2: Text("卡号错误", "wrong card number"),
}
CARD_SYNC_FAILURES: Final[dict[int, Text]] = {  # 0x43
    0: Text("无", "none"),
    1: Text("卡号格式错误", "bad card number"),
    2: Text("储存空间不足", "no space"),
}
UPDATE_RESULTS: Final[dict[int, Text]] = {  # 0x93
    0: Text("成功", "success"),
    1: Text("编号错误", "wrong charge point number"),
    2: Text("程序与桩型号不符", "program does not fit the model"),
    3: Text("下载更新文件超时", "download timeout"),
}
BATTERY_TYPES: Final[dict[int, Text]] = {  # 0x15
    0x01: Text("铅酸电池", "lead-acid"),
    0x02: Text("镍氢电池", "NiMH"),
    0x03: Text("磷酸铁锂电池", "LFP"),
    0x04: Text("锰酸锂电池", "LMO"),
    0x05: Text("钴酸锂电池", "LCO"),
    0x06: Text("三元材料电池", "NCM/NCA"),
    0x07: Text("聚合物锂离子电池", "polymer Li-ion"),
    0x08: Text("钛酸锂电池", "LTO"),
    0xFF: Text("其他电池", "other"),
}

# 2-bit values: 0 normal, 1 reached, fault or timeout, 2 untrusted. Keys count them from the
# lowest bits of the field.
CAN_ERRORS: Final[dict[int, Text]] = {  # 0x1B, `errors`
    0: Text("接收SPN2560=0x00的充电机辨识报文超时", "charger identification 0x00 timeout"),
    1: Text("接收SPN2560=0xAA的充电机辨识报文超时", "charger identification 0xAA timeout"),
    4: Text("接收充电机的时间同步和最大输出能力报文超时", "CTS/CML timeout"),
    5: Text("接收充电机完成充电准备报文超时", "CRO timeout"),
    8: Text("接收充电机充电状态报文超时", "CCS timeout"),
    9: Text("接收充电机中止充电报文超时", "CST timeout"),
    12: Text("接收充电机充电统计报文超时", "CSD timeout"),
    16: Text("接收BMS和车辆的辨识报文超时", "BRM timeout"),
    20: Text("接收电池充电参数报文超时", "BCP timeout"),
    21: Text("接收BMS完成充电准备报文超时", "BRO timeout"),
    24: Text("接收电池充电总状态报文超时", "BCS timeout"),
    25: Text("接收电池充电要求报文超时", "BCL timeout"),
    26: Text("接收BMS中止充电报文超时", "BST timeout"),
    28: Text("接收BMS充电统计报文超时", "BSD timeout"),
}
BMS_ABORT_REASONS: Final[dict[int, Text]] = {  # 0x1D, `reasons`
    0: Text("达到所需求的SOC目标值", "required SOC reached"),
    1: Text("达到总电压的设定值", "total voltage reached"),
    2: Text("达到单体电压的设定值", "cell voltage reached"),
    3: Text("充电机主动中止", "charger stopped"),
}
BMS_ABORT_FAULTS: Final[dict[int, Text]] = {  # 0x1D, `faults`
    0: Text("绝缘故障", "insulation"),
    1: Text("输出连接器过温故障", "output connector over-temperature"),
    2: Text("BMS元件、输出连接器过温", "BMS component or output connector over-temperature"),
    3: Text("充电连接器故障", "charging connector"),
    4: Text("电池组温度过高故障", "battery over-temperature"),
    5: Text("高压继电器故障", "high-voltage relay"),
    6: Text("检测点2电压检测故障", "detection point 2 voltage"),
    7: Text("其他故障", "other"),
}
BMS_ABORT_ERRORS: Final[dict[int, Text]] = {  # 0x1D, `errors`
    0: Text("电流过大", "over-current"),
    1: Text("电压异常", "voltage abnormal"),
}
CHARGER_ABORT_REASONS: Final[dict[int, Text]] = {  # 0x21, `reasons`
    0: Text("达到充电机设定的条件中止", "charger condition reached"),
    1: Text("人工中止", "manual stop"),
    2: Text("异常中止", "abnormal stop"),
    3: Text("BMS主动中止", "BMS stopped"),
}
CHARGER_ABORT_FAULTS: Final[dict[int, Text]] = {  # 0x21, `faults`
    0: Text("充电机过温故障", "charger over-temperature"),
    1: Text("充电连接器故障", "charging connector"),
    2: Text("充电机内部过温故障", "charger internal over-temperature"),
    3: Text("所需电量不能传送", "required energy cannot be delivered"),
    4: Text("充电机急停故障", "emergency stop"),
    5: Text("其他故障", "other"),
}
CHARGER_ABORT_ERRORS: Final[dict[int, Text]] = {  # 0x21, `errors`
    0: Text("电流不匹配", "current mismatch"),
    1: Text("电压异常", "voltage abnormal"),
}


def two_bit_values(value: int) -> dict[int, int]:
    """Return the 2-bit values of `value` that are not 0, by position from the lowest."""
    fields = range((value.bit_length() + 1) // 2)
    return {index: value >> 2 * index & 3 for index in fields if value >> 2 * index & 3}
