//! Prometheus' text format, which is simple enough to write by ourselves: all figures are read at a scrape from
//! where they are kept, so that a registry would only hold them a second time.

use std::fmt::{self, Display, Write};

use crate::counters::Distribution;

/// A page that grows by families of samples.
#[derive(Default)]
pub(super) struct Page(String);

/// What kind of figures a family has.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// They only grow, until the process ends.
    Counter,
    /// They are as they are now.
    Gauge,
    /// How many were how large.
    Histogram,
}

/// In what a distribution was counted.
#[derive(Clone, Copy)]
pub(super) enum Unit {
    /// In pieces.
    Pieces,
    /// In microseconds, to be told in seconds.
    Microseconds,
}

/// A family of samples.
pub(super) struct Family<'a> {
    page: &'a mut String,
    name: &'static str,
}

/// A time in microseconds, told in seconds.
pub(super) struct Seconds(pub(super) u64);

impl Page {
    /// Begins a family. It is told of also when it has no samples yet.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let begun = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        begun.expect("a string takes all that is written");
        Family { page: &mut self.0, name }
    }

    /// A family of one sample.
    pub(super) fn one(&mut self, name: &'static str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help).sample(&[], value);
    }

    /// A family of one distribution.
    pub(super) fn distribution(
        &mut self,
        name: &'static str,
        help: &str,
        unit: Unit,
        distribution: &Distribution,
    ) {
        self.family(name, Kind::Histogram, help).distribution(&[], unit, distribution);
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

impl Family<'_> {
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.line("", labels, value);
    }

    pub(super) fn distribution(
        &mut self,
        labels: &[(&str, &str)],
        unit: Unit,
        distribution: &Distribution,
    ) {
        let Distribution { bounds, counts, total } = distribution;
        let bounds = bounds.iter().map(|bound| unit.told(*bound));
        let mut sum = 0;
        for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(counts) {
            sum += count;
            self.line("_bucket", &[labels, &[("le", &bound)]].concat(), sum);
        }
        self.line("_sum", labels, unit.told(*total));
        self.line("_count", labels, sum);
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        let name = self.name;
        let mut write = |text: fmt::Arguments<'_>| {
            self.page.write_fmt(text).expect("a string takes all that is written");
        };
        write(format_args!("{name}{suffix}"));
        for (number, (label, of)) in labels.iter().enumerate() {
            let of = of.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n");
            let before = if number == 0 { '{' } else { ',' };
            write(format_args!("{before}{label}=\"{of}\""));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        write(format_args!("{end} {value}\n"));
    }
}

impl Unit {
    fn told(self, size: u64) -> String {
        match self {
            Self::Pieces => size.to_string(),
            Self::Microseconds => Seconds(size).to_string(),
        }
    }
}

impl Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 1_000_000, self.0 % 1_000_000);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        let rest = format!("{rest:06}");
        write!(f, "{whole}.{}", rest.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::Histogram;

    #[test]
    fn buckets_are_told_as_sums_in_seconds_and_labels_cannot_break_out() {
        let durations = Histogram::new(&[250, 1_000_000]);
        for took in [1, 250, 1_500_000] {
            durations.note(took);
        }
        let mut page = Page::default();
        let mut family = page.family("a_seconds", Kind::Histogram, "How long.");
        let label = [("of", "a \"b\\c\"\n")];
        family.distribution(&label, Unit::Microseconds, &durations.distribution());
        let label = r#"of="a \"b\\c\"\n""#;
        assert_eq!(
            page.into_text(),
            format!(
                "# HELP a_seconds How long.\n# TYPE a_seconds histogram\n\
                 a_seconds_bucket{{{label},le=\"0.00025\"}} 2\n\
                 a_seconds_bucket{{{label},le=\"1\"}} 2\n\
                 a_seconds_bucket{{{label},le=\"+Inf\"}} 3\n\
                 a_seconds_sum{{{label}}} 1.500251\na_seconds_count{{{label}}} 3\n"
            )
        );
    }
}
