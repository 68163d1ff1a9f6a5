"""The tariff on the charge point: check, request, set."""

from __future__ import annotations

from edge.devices.chargers.ykc.fields import U8, U32, ChargePointNo, Slots, TariffNo
from edge.devices.chargers.ykc.messages.base import Message, downlink, uplink

_LETTERS = "SPFV"


@uplink(0x05, "tariff check", "计费模型验证请求")
class TariffCheck(Message, frozen=True, gc=False):
    """After each login, repeated until answered."""

    charge_point_no: ChargePointNo
    tariff_no: TariffNo  # 0000 = none yet


@downlink(0x06, "tariff check answer", "计费模型验证请求应答")
class TariffCheckAnswer(Message, frozen=True, gc=False):
    charge_point_no: ChargePointNo
    tariff_no: TariffNo
    result: U8  # 0 same, 1 different: the charge point then sends 0x09


@uplink(0x09, "tariff request", "充电桩计费模型请求")
class TariffRequest(Message, frozen=True, gc=False):
    charge_point_no: ChargePointNo


class TariffBody(Message, frozen=True, gc=False):
    """Four price pairs in 1e-5 yuan/kWh and 48 half-hours from 00:00 of the station's day."""

    charge_point_no: ChargePointNo
    tariff_no: TariffNo
    sharp_energy_price_e5: U32
    sharp_service_price_e5: U32
    peak_energy_price_e5: U32
    peak_service_price_e5: U32
    flat_energy_price_e5: U32
    flat_service_price_e5: U32
    valley_energy_price_e5: U32
    valley_service_price_e5: U32
    loss_ratio: U8  # unit not given by the document; must be 0
    slots: Slots  # 0 sharp, 1 peak, 2 flat, 3 valley

    @property
    def slot_letters(self) -> str:
        """The 48 half-hours as S, P, F, V; ``?`` for a number without a price."""
        return "".join(_LETTERS[slot] if slot < len(_LETTERS) else "?" for slot in self.slots)


@downlink(0x0A, "tariff answer", "计费模型请求应答")
class TariffAnswer(TariffBody, frozen=True, gc=False):
    """Answers 0x09. Has no answer itself."""


@downlink(0x58, "tariff set", "计费模型设置")
class TariffSet(TariffBody, frozen=True, gc=False):
    """Pushed while the charge point is idle; answered by 0x57."""


@uplink(0x57, "tariff set answer", "计费模型应答")
class TariffSetAnswer(Message, frozen=True, gc=False):
    charge_point_no: ChargePointNo
    result: U8  # 0 failure, 1 success
