//! What a refused caller is told.

use tollgate_base::Kind;

use super::*;
use crate::admission::RefusedBy;

fn refuse(admission: &Admission, rules: &Rules, demand: &Demand) -> Refusal {
    let before = everything(admission);
    let refusal = admission.admit(rules, start(), demand).unwrap_err();
    assert_eq!(everything(admission), before);
    *refusal
}

/// The rule that was named.
fn named(refusal: &Refusal) -> &str {
    match &refusal.rule {
        RefusedBy::Limit { standing, .. } => &standing.id,
        RefusedBy::Budget { standing, .. } => &standing.id,
    }
}

#[test]
fn a_refusal_says_whose_limit_how_much_and_until_when() {
    let rules = limited(vec![limit("rpm", key("k"), "requests-per-minute", 2)]);
    let admission = Admission::default();
    let scopes = [key("k")];
    let ended = admission.admit(&rules, start(), &call(&scopes)).unwrap();
    ended.settle(start(), Actual::Exact(Used::default()));
    let _open = admission.admit(&rules, start(), &call(&scopes)).unwrap();
    let error = refuse(&admission, &rules, &call(&scopes)).to_error();
    assert_eq!(
        error.message(),
        "`key:k` may use 2 requests in any minute (limit `rpm`): 1 are used, 1 are held by open calls, this \
         call needs 1. Try again in 60.500 s."
    );
    assert_eq!(
        (error.kind(), error.code()),
        (Kind::RateLimit, "rate_limit_exceeded")
    );
    assert_eq!(
        (error.retry_after(), error.should_retry()),
        (Some(ms(60_500)), None)
    );
}

#[test]
fn every_kind_of_limit_has_its_code_and_words() {
    let scopes = [key("k")];
    let cases = [
        (
            "tokens-per-day",
            10,
            "token_limit_exceeded",
            "`key:k` may use 10 tokens in any 24 hours (limit `l`): 0 are used, 10 are held by open calls, this call needs 10. Try again in 87000.000 s.",
        ),
        (
            "input-tokens-per-second",
            10,
            "token_limit_exceeded",
            "`key:k` may use 10 input tokens in any second (limit `l`): 0 are used, 10 are held by open calls, this call needs 10. Try again in 1.020 s.",
        ),
        (
            "concurrent-requests",
            1,
            "concurrency_limit_exceeded",
            "`key:k` may use 1 requests at once (limit `l`): 1 are open. Wait for one to end, then try again.",
        ),
    ];
    for (measure, most, code, message) in cases {
        let rules = limited(vec![limit("l", key("k"), measure, most)]);
        let admission = Admission::default();
        let _open = admission
            .admit(&rules, start(), &reading(&scopes, 10))
            .unwrap();
        let error = refuse(&admission, &rules, &reading(&scopes, 10)).to_error();
        assert_eq!((error.kind(), error.code()), (Kind::RateLimit, code));
        assert_eq!(error.message(), message);
        assert!(error.retry_after().is_some());
    }
}

#[test]
fn what_waiting_cannot_mend_is_not_told_to_wait() {
    let scopes = [key("k")];
    let admission = Admission::default();
    let too_large = limited(vec![limit("l", key("k"), "tokens-per-request", 99)]);
    let error = refuse(&admission, &too_large, &reading(&scopes, 100)).to_error();
    assert_eq!(
        (error.kind(), error.code()),
        (Kind::InvalidRequest, "request_exceeds_limit")
    );
    assert_eq!(
        error.message(),
        "`key:k` may use 99 tokens in one request (limit `l`); this call needs 100 and can never fit. Shorten the \
         input or lower the largest output."
    );
    assert_eq!(error.retry_after(), None);

    let blocked = limited(vec![limit("l", key("k"), "output-tokens-per-minute", 0)]);
    let demand = Demand {
        output_tokens: 1,
        ..call(&scopes)
    };
    let error = refuse(&admission, &blocked, &demand).to_error();
    assert_eq!(
        (error.kind(), error.code()),
        (Kind::RateLimit, "token_limit_exceeded")
    );
    assert_eq!(
        (error.retry_after(), error.should_retry()),
        (None, Some(false))
    );
    assert_eq!(
        error.message(),
        "`key:k` may use 0 output tokens in any minute (limit `l`): it is blocked. Ask for the limit to be raised."
    );
}

#[test]
fn a_spent_budget_says_what_is_spent_held_and_left() {
    let rules = budgeted(vec![
        budget("month", key("k"), "1.00"),
        BudgetRule {
            period: Period::Total,
            ..budget("total", key("t"), "0.50")
        },
        BudgetRule {
            hard: false,
            ..budget("soft", key("k"), "0.01")
        },
    ]);
    let admission = Admission::default();
    let scopes = [key("k")];
    let ended = admission
        .admit(&rules, start(), &costing(&scopes, "0.40"))
        .unwrap();
    ended.settle(start(), Actual::AtLeast(cost("0.30")));
    let _open = admission
        .admit(&rules, start(), &costing(&scopes, "0.25"))
        .unwrap();
    let refusal = refuse(&admission, &rules, &costing(&scopes, "0.36"));
    assert_eq!(refusal.room(), Some(dollars("0.35")));
    let error = refusal.to_error();
    assert_eq!(
        (error.kind(), error.code()),
        (Kind::Quota, "insufficient_quota")
    );
    assert_eq!(
        (error.retry_after(), error.should_retry()),
        (None, Some(false))
    );
    assert_eq!(
        error.message(),
        "`key:k` may spend $1.00 a month (budget `month`): $0.30 are spent, $0.25 are held by open calls, $0.10 are \
         kept for calls whose exact cost is not known; this call can cost $0.36. Lower the largest output, wait \
         until 2026-04-01T00:00:00Z, or ask for the budget to be raised."
    );
    let other = [key("t")];
    let error = refuse(&admission, &rules, &costing(&other, "0.51")).to_error();
    assert_eq!(
        error.message(),
        "`key:t` may spend $0.50 in total (budget `total`): $0.00 are spent, $0.00 are held by open calls; this \
         call can cost $0.51. Lower the largest output or ask for the budget to be raised."
    );
    let periods = [
        (Period::Day, "a day", "2026-03-16"),
        (Period::Week, "a week", "2026-03-16"),
    ];
    for (period, words, end) in periods {
        let rules = budgeted(vec![BudgetRule {
            period,
            ..budget("b", key("k"), "0.10")
        }]);
        let message = refuse(&admission, &rules, &costing(&scopes, "0.36")).to_string();
        assert!(
            message.contains(words) && message.contains(end),
            "{message}"
        );
    }
}

#[test]
fn of_several_refusals_the_one_that_frees_last_is_told() {
    let in_order = [
        limit("slot", key("k"), "concurrent-requests", 1),
        limit("minute", key("k"), "requests-per-minute", 1),
        limit("day", key("k"), "tokens-per-day", 10),
    ];
    let admission = Admission::default();
    let scopes = [key("k")];
    let demand = Demand {
        input_tokens: 10,
        ..costing(&scopes, "0.75")
    };
    let budgets = vec![
        budget("month", key("k"), "1.00"),
        BudgetRule {
            period: Period::Total,
            ..budget("total", key("k"), "1.20")
        },
    ];
    let all = Rules::new(in_order.to_vec(), budgets.clone()).unwrap();
    let _open = admission.admit(&all, start(), &demand).unwrap();
    assert_eq!(named(&refuse(&admission, &all, &demand)), "total");
    assert_eq!(
        refuse(&admission, &all, &demand).room(),
        Some(dollars("0.25"))
    );
    let without_total = Rules::new(in_order.to_vec(), budgets[..1].to_vec()).unwrap();
    assert_eq!(named(&refuse(&admission, &without_total, &demand)), "month");
    for kept in (1..=3).rev() {
        let mut rules = in_order[..kept].to_vec();
        let last = rules.last().unwrap().id.clone();
        assert_eq!(
            named(&refuse(&admission, &limited(rules.clone()), &demand)),
            last
        );
        rules.reverse();
        let refusal = refuse(&admission, &limited(rules.clone()), &demand);
        assert_eq!((named(&refusal), refusal.room()), (last.as_str(), None));
        for (id, most) in [("blocked", 0), ("large", 9)] {
            let mut rules = rules.clone();
            rules.insert(0, limit(id, key("k"), "tokens-per-request", most));
            let rules = Rules::new(rules, budgets.clone()).unwrap();
            assert_eq!(named(&refuse(&admission, &rules, &demand)), id);
        }
    }
}

#[test]
fn rules_that_cannot_be_meant_are_refused() {
    let twice = vec![
        limit("l", key("k"), "requests-per-minute", 1),
        limit("l", key("j"), "requests-per-minute", 1),
    ];
    let error = Rules::new(twice, Vec::new()).unwrap_err();
    assert_eq!(error.param(), Some("limits.l"));
    let twice = vec![budget("b", key("k"), "1"), budget("b", key("j"), "1")];
    let error = Rules::new(Vec::new(), twice).unwrap_err();
    assert_eq!(error.param(), Some("budgets.b"));
    let nowhere = BudgetRule {
        zone: "Mars/Olympus".to_owned(),
        ..budget("b", key("k"), "1")
    };
    let error = Rules::new(Vec::new(), vec![nowhere]).unwrap_err();
    assert_eq!(error.param(), Some("budgets.b.zone"));
    // A limit and a budget may share a name.
    Rules::new(
        vec![limit("x", key("k"), "requests-per-minute", 1)],
        vec![budget("x", key("k"), "1")],
    )
    .unwrap();
}
