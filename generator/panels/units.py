"""The units that Grafana 9.0 knows, by the ids it gives them (`getValueFormats` in its `data` package)."""

from __future__ import annotations

_IDS = """
    none string short percent percentunit humidity dB hex0x hex sci locale pixel accMS2 accFS2 accG degree
    radian grad arcmin arcsec areaM2 areaF2 areaMI2 flops mflops gflops tflops pflops eflops zflops yflops ppm
    conppb conngm3 conngNm3 conmgm3 conmgNm3 congm3 congNm3 conmgdL conmmolL currencyUSD currencyGBP
    currencyEUR currencyJPY currencyRUB currencyUAH currencyBRL currencyDKK currencyISK currencyNOK
    currencySEK currencyCZK currencyCHF currencyPLN currencyBTC currencymBTC currencyZAR currencyINR
    currencyKRW currencyIDR currencyPHP currencyVND bytes decbytes bits decbits kbytes deckbytes mbytes
    decmbytes gbytes decgbytes tbytes dectbytes pbytes decpbytes pps binBps Bps binbps bps KiBs Kibits KBs
    Kbits MiBs Mibits MBs Mbits GiBs Gibits GBs Gbits TiBs Tibits TBs Tbits PiBs Pibits PBs Pbits
    dateTimeAsIso dateTimeAsIsoNoDateIfToday dateTimeAsUS dateTimeAsUSNoDateIfToday dateTimeAsLocal
    dateTimeAsLocalNoDateIfToday dateTimeAsSystem dateTimeFromNow watt kwatt megwatt gwatt mwatt Wm2 voltamp
    kvoltamp voltampreact kvoltampreact watth watthperkg kwatth kwattm amph kamph mamph joule ev amp kamp mamp
    volt kvolt mvolt dBm ohm kohm Mohm farad nfarad pfarad ffarad henry mhenry lumens flowgpm flowcms flowcfs
    flowcfm litreh flowlpm flowmlpm lux forceNm forcekNm forceN forcekN Hs KHs MHs GHs THs PHs EHs massmg
    massg masslb masskg masst lengthmm lengthin lengthft lengthm lengthkm lengthmi pressurembar pressurebar
    pressurekbar pressurepa pressurehpa pressurekpa pressurehg pressurepsi radbq radci radgy radrad radsv
    radmsv radusv radrem radexpckg radr radsvh radmsvh radusvh rotrpm rothz rotrads rotdegs celsius fahrenheit
    kelvin hertz ns ms s m h d dtdurationms dtdurations dthms dtdhms timeticks clockms clocks cps ops reqps
    rps wps iops cpm opm rpm wpm velocityms velocitykmh velocitymph velocityknot mlitre litre m3 Nm3 dm3
    gallons bool bool_yes_no bool_on_off
"""

UNITS = frozenset(_IDS.split())

_CUSTOM = ("suffix:", "prefix:", "time:", "si:", "count:", "currency:", "bool:")


def is_unit(unit: str) -> bool:
    """Whether Grafana 9.0 shows this unit: one of its own units, or a form in which users name a unit."""
    return unit in UNITS or unit.startswith(_CUSTOM)
