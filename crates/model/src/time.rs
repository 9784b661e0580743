//! Points in time as directories and rosters write them. Knows no clock.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::Value;

/// The value of `pwdAccountLockedTime` that means "locked for good" (draft-behera-ldap-password-policy, section 5.3.3).
pub const PERMANENT_LOCK: &str = "000001010000Z";

/// Reads an LDAP generalized time (RFC 4517, section 3.3.13): `YYYYMMDDHH[MM[SS]][.f]` followed by `Z` or an offset.
pub fn parse_generalized(text: &str) -> Option<Timestamp> {
    let zone_at = text.find(['Z', 'z', '+', '-'])?;
    let (digits, zone) = text.split_at(zone_at);
    let (whole, fraction) = match digits.split_once(['.', ',']) {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (digits, None),
    };
    if !whole.bytes().all(|b| b.is_ascii_digit()) || !matches!(whole.len(), 10 | 12 | 14) {
        return None;
    }
    let number = |from: usize, to: usize| whole.get(from..to).map_or(Some(0), |s| s.parse::<i16>().ok());
    let small = |from: usize, to: usize| number(from, to).and_then(|n| i8::try_from(n).ok());
    // A leap second is held as the second before it, as jiff has none.
    let second = small(12, 14)?.min(59);
    let local = DateTime::new(number(0, 4)?, small(4, 6)?, small(6, 8)?, small(8, 10)?, small(10, 12)?, second, 0).ok()?;
    let offset_seconds: i64 = match zone.as_bytes() {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), rest @ ..] if matches!(rest.len(), 2 | 4) && rest.iter().all(u8::is_ascii_digit) => {
            let digits = std::str::from_utf8(rest).ok()?;
            let hours: i64 = digits.get(0..2)?.parse().ok()?;
            let minutes: i64 = digits.get(2..4).map_or(Some(0), |m| m.parse().ok())?;
            (hours * 3600 + minutes * 60) * if *sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    let mut nanoseconds: i64 = 0;
    if let Some(fraction) = fraction {
        if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        // A fraction belongs to the smallest unit that is written.
        let unit: i64 = match whole.len() {
            10 => 3600,
            12 => 60,
            _ => 1,
        };
        let scale: i64 = 1_000_000_000;
        let padded: i64 = format!("{fraction:0<9}").get(0..9)?.parse().ok()?;
        nanoseconds = padded.checked_mul(unit)?.min(unit * scale - 1);
    }
    let base = TimeZone::UTC.to_timestamp(local).ok()?;
    let seconds = base.as_second().checked_sub(offset_seconds)?.checked_add(nanoseconds.div_euclid(1_000_000_000))?;
    let rest = i32::try_from(nanoseconds.rem_euclid(1_000_000_000)).ok()?;
    Timestamp::new(seconds, rest).ok()
}

/// [`parse_generalized`] of a value.
pub fn generalized(value: &Value) -> Option<Timestamp> {
    value.as_str().and_then(parse_generalized)
}

/// Writes `YYYYMMDDHHMMSSZ`; fractions of a second are dropped, as slapd's ppolicy writes its times.
pub fn to_generalized(at: Timestamp) -> String {
    at.strftime("%Y%m%d%H%M%SZ").to_string()
}

/// Whether a last valid day has ended: `now` has reached the next local midnight.
///
/// A roster date is the last valid day in the entity's time zone, so that day itself still counts.
pub fn day_has_ended(last_valid: Date, zone: &TimeZone, now: Timestamp) -> bool {
    local_day(zone, now) > last_valid
}

/// Whether a day has begun in this time zone.
pub fn day_has_begun(day: Date, zone: &TimeZone, now: Timestamp) -> bool {
    local_day(zone, now) >= day
}

/// The calendar day in this time zone.
pub fn local_day(zone: &TimeZone, now: Timestamp) -> Date {
    zone.to_datetime(now).date()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generalized_times_are_read_in_all_their_forms() {
        let at = |text| parse_generalized(text).map(|t| t.to_string());
        assert_eq!(at("20261120093000Z").as_deref(), Some("2026-11-20T09:30:00Z"));
        assert_eq!(at("20261120093000.5Z").as_deref(), Some("2026-11-20T09:30:00.5Z"));
        assert_eq!(at("202611200930+0900").as_deref(), Some("2026-11-20T00:30:00Z"));
        assert_eq!(at("2026112009Z").as_deref(), Some("2026-11-20T09:00:00Z"));
        assert_eq!(at("20261120093000.123456Z").as_deref(), Some("2026-11-20T09:30:00.123456Z"));
        assert_eq!(at("20261320093000Z"), None);
        assert_eq!(at("20261120093000"), None);
        assert_eq!(at("x"), None);
    }

    #[test]
    fn the_last_valid_day_counts_until_local_midnight() {
        let tokyo = TimeZone::get("Asia/Tokyo").unwrap();
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let day = Date::constant(2026, 11, 20);
        let now: Timestamp = "2026-11-20T15:30:00Z".parse().unwrap();
        assert!(day_has_ended(day, &tokyo, now));
        assert!(!day_has_ended(day, &berlin, now));
    }
}
