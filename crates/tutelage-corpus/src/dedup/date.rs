//! When a document was crawled, as the many ways to write that have it.

use jiff::{Timestamp, civil};

/// Seconds since 1970, of `2024-05-01`, `2024-05-01T10:00:00Z`, `2024-05-01 10:00:00`, `20240501100000` or seconds.
pub(super) fn seconds(date: &str) -> Option<i64> {
    let date = date.trim();
    if let Ok(stamp) = date.parse::<Timestamp>() {
        return Some(stamp.as_second());
    }
    if !date.is_empty() && date.bytes().all(|byte| byte.is_ascii_digit()) {
        // Common Crawl's indices write 14 digits; fewer than 12 are seconds.
        return match date.len() {
            14 => in_digits(date),
            1..12 => date.parse().ok(),
            _ => None,
        };
    }
    let civil = date.parse::<civil::DateTime>().or_else(|_| date.parse::<civil::Date>().map(civil::DateTime::from));
    of_civil(civil.ok()?)
}

fn in_digits(date: &str) -> Option<i64> {
    let part = |from: usize, to: usize| date.get(from..to)?.parse::<i8>().ok();
    let year = date.get(..4)?.parse().ok()?;
    let civil = civil::DateTime::new(year, part(4, 6)?, part(6, 8)?, part(8, 10)?, part(10, 12)?, part(12, 14)?, 0);
    of_civil(civil.ok()?)
}

fn of_civil(date: civil::DateTime) -> Option<i64> {
    Some(jiff::tz::Offset::UTC.to_timestamp(date).ok()?.as_second())
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn dates_are_read_in_many_ways() {
        // date -u -d '2024-05-01 10:00:00' +%s
        let expected = Some(1_714_557_600);
        for date in
            ["2024-05-01T10:00:00Z", "2024-05-01 10:00:00", "2024-05-01T12:00:00+02:00", "20240501100000", "1714557600"]
        {
            assert_eq!(seconds(date), expected, "{date}");
        }
        assert_eq!(seconds("2024-05-01"), Some(1_714_521_600));
        assert_eq!(seconds("1969-12-31"), Some(-86_400));
        for wrong in ["", "May 2024", "20241301100000", "123456789012"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
