//! A plot for each curve: results that differ in one number only, such as how many timers there are.

use super::lines::Line;
use benches::Result;
use plotters::prelude::{
    BLACK, ChartBuilder, Circle, Color, IntoDrawingArea, IntoLogRange, LineSeries, Palette,
    Palette99, SVGBackend, WHITE,
};
use std::collections::BTreeMap;
use std::path::Path;

/// The parameters along which curves run.
const AXES: [&str; 5] = ["timers", "descriptors", "size", "modes", "unused"];

/// For each peer, points of parameter and figure.
type Curves<'a> = BTreeMap<&'a str, Vec<(f64, f64)>>;

/// Draws every curve of at least three points into the directory.
pub(super) fn draw(lines: &[Line], directory: &Path) -> Result<()> {
    for axis in AXES {
        let mut plots: BTreeMap<String, Curves<'_>> = BTreeMap::new();
        for line in lines {
            let mut rest = line.clone();
            let Some(at) = rest
                .parameters
                .remove(axis)
                .and_then(|at| at.parse::<f64>().ok())
            else {
                continue;
            };
            // A logarithmic axis has no zero.
            let point = (at.max(1.0), line.value.max(1e-3));
            let plot = plots.entry(rest.question()).or_default();
            plot.entry(&line.peer).or_default().push(point);
        }
        for (question, mut curves) in plots {
            curves
                .values_mut()
                .for_each(|points| points.sort_by(|a, b| a.0.total_cmp(&b.0)));
            if curves.values().any(|points| points.len() >= 3) {
                let name = format!("{} by {axis}.svg", question.replace(['=', '/'], "-"))
                    .replace(' ', "-");
                plot(&directory.join(name), &question, axis, &curves)?;
            }
        }
    }
    Ok(())
}

fn plot(path: &Path, title: &str, axis: &str, curves: &Curves<'_>) -> Result<()> {
    let points = || curves.values().flatten();
    let range = |of: fn(&(f64, f64)) -> f64| {
        let lowest = points().map(of).fold(f64::INFINITY, f64::min);
        let highest = points().map(of).fold(0.0, f64::max);
        (lowest * 0.8)..(highest * 1.25)
    };
    let area = SVGBackend::new(path, (720, 420)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 16))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(64)
        .build_cartesian_2d(range(|p| p.0).log_scale(), range(|p| p.1).log_scale())?;
    chart
        .configure_mesh()
        .x_desc(axis)
        .light_line_style(WHITE)
        .draw()?;
    for (place, (peer, points)) in curves.iter().enumerate() {
        let color = Palette99::pick(place).to_rgba();
        chart
            .draw_series(LineSeries::new(
                points.iter().copied(),
                color.stroke_width(2),
            ))?
            .label(*peer)
            .legend(move |(x, y)| Circle::new((x + 8, y), 4, color.filled()));
    }
    chart
        .configure_series_labels()
        .border_style(BLACK)
        .background_style(WHITE)
        .draw()?;
    area.present()?;
    Ok(())
}
