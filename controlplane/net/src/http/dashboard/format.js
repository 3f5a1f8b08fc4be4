// How numbers, durations and instants are written.

/** A whole number with its digits in groups of three: 1 234 567. */
export function whole(number) {
    return String(number).replace(/\B(?=(\d{3})+$)/g, GROUP);
}

/** A rate in three digits: 0, 0.4, 12, 1.23 k, 45.6 M. */
export function rate(number) {
    return short(number, 1000, RATE_UNITS);
}

/** Bits per second in three digits: 0 bit/s, 1.23 Mbit/s. */
export function bitRate(number) {
    return short(number, 1000, BIT_UNITS);
}

/** Bytes in three digits: 512 B, 1.46 KiB. */
export function bytes(number) {
    return short(number, 1024, BYTE_UNITS);
}

/** A share between 0 and 1: 0.4 %, 37 %. */
export function share(part) {
    const percent = part * 100;
    return `${percent > 0 && percent < 9.95 ? percent.toFixed(1) : Math.round(percent)}${GROUP}%`;
}

/** A length of time by its two largest units: 2 d 3 h, 14 min 3 s. Below zero counts as nothing. */
export function duration(milliseconds) {
    let seconds = Math.max(0, Math.round(milliseconds / 1000));
    const parts = [];
    for (const [unit, length] of TIME_UNITS) {
        const count = Math.floor(seconds / length);
        seconds -= count * length;
        if (count > 0 || (unit === "s" && parts.length === 0)) {
            parts.push(`${count}${GROUP}${unit}`);
        } else if (parts.length > 0) {
            break;
        }
        if (parts.length === 2) {
            break;
        }
    }
    return parts.join(" ");
}

/** A time of day where the reader is, from milliseconds since 1970: 14:03:20. */
export function timeOfDay(milliseconds) {
    return TIME_OF_DAY.format(milliseconds);
}

/** An instant where the reader is, with its date: 2026-11-21 14:03:20. */
export function instant(milliseconds) {
    const date = new Date(milliseconds);
    const [year, month, day] = [date.getFullYear(), date.getMonth() + 1, date.getDate()];
    return `${year}-${two(month)}-${two(day)} ${timeOfDay(milliseconds)}`;
}

/** The milliseconds since 1970 of an instant as the interface writes it; null if there is none. */
export function parseInstant(text) {
    const parsed = text === null || text === undefined ? NaN : Date.parse(text);
    return Number.isNaN(parsed) ? null : parsed;
}

/** A number in three digits, with the largest of `units`, `step` apart, that leaves at least 1. */
function short(number, step, units) {
    let unit = 0;
    while (number >= step * 0.9995 && unit + 1 < units.length) {
        number /= step;
        unit += 1;
    }
    const digits = unit === 0 ? (number < 10 && !Number.isInteger(number) ? 1 : 0) : number < 9.995 ? 2 : number < 99.95 ? 1 : 0;
    return `${number.toFixed(digits)}${units[unit]}`;
}

function two(number) {
    return String(number).padStart(2, "0");
}

/** A narrow space that does not break. */
const GROUP = "\u202f";
const RATE_UNITS = ["", "k", "M", "G", "T"].map((unit) => unit && GROUP + unit);
const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"].map((unit) => GROUP + unit);
const BIT_UNITS = ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"].map((unit) => GROUP + unit);
const TIME_UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
const TIME_OF_DAY = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
