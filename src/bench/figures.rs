//! Figures, with what they should reach.

use std::fmt::{self, Display, Formatter};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// What a figure should reach.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    AtLeast(f64),
    AtMost(f64),
    /// It is told, and nothing more.
    None,
}

/// One figure.
#[derive(Clone, Debug)]
struct Figure {
    key: &'static str,
    what: &'static str,
    /// None where it cannot be measured on this machine.
    value: Option<f64>,
    target: Target,
}

/// All that was measured: as JSON an object of keys and numbers, as text a table.
#[derive(Clone, Debug, Default)]
pub struct Figures(Vec<Figure>);

impl Figures {
    pub(super) fn tell(
        &mut self,
        key: &'static str,
        what: &'static str,
        value: Option<f64>,
        target: Target,
    ) {
        self.0.push(Figure { key, what, value, target });
    }

    /// Whether all that was measured reaches what it should.
    #[must_use]
    pub fn are_met(&self) -> bool {
        self.0.iter().all(|figure| figure.is_met() != Some(false))
    }
}

impl Figure {
    /// Whether it reaches its target; none when it has none, or was not measured.
    fn is_met(&self) -> Option<bool> {
        let value = self.value?;
        match self.target {
            Target::AtLeast(least) => Some(value >= least),
            Target::AtMost(most) => Some(value <= most),
            Target::None => None,
        }
    }
}

impl Serialize for Figures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for figure in &self.0 {
            map.serialize_entry(figure.key, &figure.value.map(rounded))?;
        }
        map.end()
    }
}

impl Display for Figures {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "| {:<72} | {:>12} | {:>12} | met |", "Figure", "measured", "target")?;
        writeln!(f, "|{}|{}:|{}:|-----|", "-".repeat(74), "-".repeat(13), "-".repeat(13))?;
        for figure in &self.0 {
            let value = figure.value.map_or("–".to_owned(), |value| rounded(value).to_string());
            let target = match figure.target {
                Target::AtLeast(least) => format!("≥ {least}"),
                Target::AtMost(most) => format!("≤ {most}"),
                Target::None => String::new(),
            };
            let met = match figure.is_met() {
                Some(true) => "yes",
                Some(false) => "NO",
                None => "",
            };
            writeln!(f, "| {:<72} | {value:>12} | {target:>12} | {met:<3} |", figure.what)?;
        }
        Ok(())
    }
}

/// Three digits of what is below ten, whole numbers of what is large.
fn rounded(value: f64) -> f64 {
    let steps = if value.abs() < 100.0 { 100.0 } else { 1.0 };
    (value * steps).round() / steps
}

/// The middle one; the upper of two.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// How many times the one goes into the other.
pub(super) fn ratio(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    let (one, other) = (one?, other?);
    (other > 0.0).then_some(one / other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_met_unless_one_that_was_measured_misses_what_it_should_reach() {
        let mut figures = Figures::default();
        figures.tell("a", "", Some(5.0), Target::AtMost(5.0));
        figures.tell("b", "", Some(1.0), Target::AtLeast(1.0));
        figures.tell("c", "", None, Target::AtMost(1.0));
        figures.tell("d", "", Some(9.0), Target::None);
        assert!(figures.are_met());
        figures.tell("e", "", Some(5.001), Target::AtMost(5.0));
        assert!(!figures.are_met());
    }
}
