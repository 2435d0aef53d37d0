//! Days and months in UTC.

const DAY: u64 = 86_400;

/// Year and month, which counts from 1 (Howard Hinnant, chrono-compatible low-level date algorithms).
pub fn month_of(seconds: u64) -> (u64, u64) {
    let (year, month, _) = civil(seconds / DAY);
    (year, month)
}

/// Years begin in March here, so that the leap day is the last one.
fn civil(days: u64) -> (u64, u64, u64) {
    let from_march_0000 = days + 719_468;
    let (era, of_era) = (from_march_0000 / 146_097, from_march_0000 % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

/// `2026-11-29 11:27:32` in UTC, as seconds since 1970.
pub fn parse(text: &str) -> Option<u64> {
    let (date, time) = text.trim().split_once(' ')?;
    let mut date = date.split('-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    let is_time = hour < 24 && minute < 60 && second < 61;
    let is_date = (1970..10_000).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !(is_time && is_date) {
        return None;
    }
    // The 30th of February is another day.
    let days = days(year, month, day).filter(|days| civil(*days) == (year, month, day))?;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

/// From 1970 on.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year - 1 } else { year };
    let from_march = (month + 9) % 12;
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    let (era, of_era) = (year / 400, year % 400);
    (era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_told_from_seconds_and_back() {
        for (text, seconds, month) in [
            ("1970-01-01 00:00:00", 0, (1970, 1)),
            ("2000-02-29 23:59:59", 951_868_799, (2000, 2)),
            ("2023-11-14 22:13:20", 1_700_000_000, (2023, 11)),
            ("2026-12-31 23:59:59", 1_798_761_599, (2026, 12)),
            ("2100-03-01 00:00:00", 4_107_542_400, (2100, 3)),
        ] {
            assert_eq!(parse(text), Some(seconds), "{text}");
            assert_eq!(month_of(seconds), month, "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "never",
            "2023-02-29 00:00:00",
            "2023-00-10 00:00:00",
            "2023-13-01 00:00:00",
            "2023-01-32 00:00:00",
            "99999999999999999999-01-01 00:00:00",
            "0-1-1 0:0:0",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
