//! A point in time in ISO 8601.

/// So many hundredths of a second after 1970, in UTC, up to the year 9999.
pub(super) fn iso_8601(hundredths: u64) -> Option<String> {
    let (seconds, hundredths) = (hundredths / 100, hundredths % 100);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days)?;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    Some(format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{hundredths:02}0Z"
    ))
}

/// The date so many days after 1970-01-01. Years that begin in March have the leap day at their
/// end, so the length of the months before does not depend on it.
fn date(days: u64) -> Option<(u64, u64, u64)> {
    const ERA: u64 = 400 * 365 + 97;
    // From 0000-03-01.
    let days = days.checked_add(719_468)?;
    let (era, day) = (days / ERA, days % ERA);
    let year = (day - day / (4 * 365) + day / (100 * 365 + 24) - day / (ERA - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = 400 * era + year + next;
    (year <= 9999).then_some((year, month, day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_that_are_hard_to_tell_are_told() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (1_700_558_734, "2023-11-21T09:25:34.000Z"),
            (1_709_164_800, "2024-02-29T00:00:00.000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000Z"),
            (1_735_689_600, "2025-01-01T00:00:00.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799, "9999-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(iso_8601(seconds * 100).as_deref(), Some(text));
        }
        assert_eq!(iso_8601(109).as_deref(), Some("1970-01-01T00:00:01.090Z"));
        assert_eq!(iso_8601(253_402_300_800 * 100), None);
        assert_eq!(iso_8601(u64::MAX), None);
    }
}
