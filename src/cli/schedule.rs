//! The learning rate over the steps, drawn before the first.

use semivq::train::TrainOptions;

/// Columns of the drawing.
const COLUMNS: u32 = 32;
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The rate over the steps in one line, with its values at the steps where it turns; none where it does not change.
pub fn line(options: &TrainOptions) -> Option<String> {
    let (schedule, steps) = (options.schedule, options.steps?);
    if schedule.is_constant() {
        return None;
    }
    let rate = |step| schedule.lr(step, options.lr, options.steps);
    let columns = COLUMNS.min(steps);
    let level = |column: u32| {
        let span = u64::from(steps - 1) * u64::from(column);
        let step = 1 + span / u64::from((columns - 1).max(1));
        let share = rate(step as u32) / options.lr;
        let index = (share * (LEVELS.len() - 1) as f32).round() as usize;
        LEVELS[index.min(LEVELS.len() - 1)]
    };
    let drawn: String = (0..columns).map(level).collect();
    let middle = schedule.warmup + (steps.saturating_sub(schedule.warmup)) / 2;
    let mut points = vec![1, schedule.warmup, middle, steps];
    points.retain(|step| (1..=steps).contains(step));
    points.sort_unstable();
    points.dedup();
    let at = |step: &u32| format!("{:.1e} at {step}", rate(*step));
    let points: Vec<String> = points.iter().map(at).collect();
    Some(format!("learning rate: {drawn} {}", points.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_rate_is_drawn() {
        let line = |given| line(&TrainOptions::from_partial(given).unwrap());
        assert_eq!(line(json!({"steps": 100})), None);
        let cosine = json!({"steps": 110, "warmup": 10, "schedule": "cosine", "lr": 1e-3});
        assert_eq!(
            line(cosine).unwrap(),
            "learning rate: ▂▄▇█████▇▇▇▇▆▆▆▅▅▅▄▄▃▃▃▂▂▂▂▁▁▁▁▁ 1.0e-4 at 1, 1.0e-3 at 10, 5.2e-4 at 60, 2.5e-7 at 110"
        );
        let one = json!({"steps": 1, "schedule": "step", "lr": 1e-3});
        assert_eq!(line(one).unwrap(), "learning rate: █ 1.0e-3 at 1");
    }
}
