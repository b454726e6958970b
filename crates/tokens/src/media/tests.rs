use super::*;

fn image(width: u32, height: u32, detail: Detail) -> Image {
    Image {
        size: Some(Size { width, height }),
        detail,
    }
}

#[test]
fn every_model_counts_by_its_published_formula() {
    for (model, detail, tokens) in [
        ("gpt-4o", Detail::High, 765),
        ("gpt-4o", Detail::Low, 85),
        ("gpt-4.1", Detail::Auto, 765),
        ("gpt-4o-mini", Detail::High, 2833 + 4 * 5667),
        ("gpt-5", Detail::High, 70 + 4 * 140),
        ("openai/gpt-5-chat-latest", Detail::High, 70 + 4 * 140),
        ("o3", Detail::High, 75 + 4 * 150),
        ("gpt-5-mini", Detail::High, 1659),
        ("gpt-4.1-nano", Detail::High, 2520),
        ("o4-mini", Detail::High, 1762),
        ("gpt-5.2", Detail::High, 1024),
        ("gpt-5.4", Detail::Low, 256),
        ("gpt-5.6", Detail::Auto, 1024),
        ("claude-opus-4-7", Detail::Auto, 37 * 37),
        ("claude-sonnet-4-5", Detail::Auto, 37 * 37),
        ("gemini-2.5-pro", Detail::Auto, 4 * 258),
    ] {
        let media = Media::for_model(model);
        assert_eq!(media.image(image(1024, 1024, detail)), tokens, "{model}");
    }
}

#[test]
fn a_large_image_costs_what_its_model_allows() {
    let large = |detail| image(6000, 4000, detail);
    assert!(Media::for_model("gpt-5.2").image(large(Detail::High)) <= 1536);
    assert!(Media::for_model("gpt-5.4").image(large(Detail::High)) <= 2500);
    assert!(Media::for_model("gpt-5.5").image(large(Detail::Auto)) > 2500);
    assert_eq!(
        Media::for_model("gpt-5.6").image(large(Detail::Auto)),
        188 * 125
    );
    assert_eq!(
        Media::for_model("claude-opus-4-6").image(large(Detail::Auto)),
        1568
    );
    assert_eq!(
        Media::for_model("claude-opus-5").image(large(Detail::Auto)),
        4784
    );
}

#[test]
fn an_image_of_unknown_size_costs_the_most() {
    for (model, tokens) in [
        ("gpt-4o", 1445),
        ("gpt-5-mini", 2489),
        ("gpt-5.6", 10_000),
        ("claude-haiku-4-5", 1568),
        ("claude-opus-4-8", 4784),
        ("gemini-2.5-flash", 16 * 258),
    ] {
        assert_eq!(
            Media::for_model(model).image_upper(Image::default()),
            tokens,
            "{model}"
        );
    }
}

#[test]
fn the_upper_bound_reads_the_ambiguous_rule_the_dear_way() {
    let media = Media::for_model("gpt-4o");
    assert_eq!(media.image(image(512, 512, Detail::High)), 255);
    assert_eq!(media.image_upper(image(512, 512, Detail::High)), 765);
}

#[test]
fn documents_and_audio_grow_with_their_length() {
    let media = Media::for_model("claude-sonnet-4-6");
    let pages = |pages| media.document(Document { pages: Some(pages) });
    assert_eq!(pages(0), 0);
    assert_eq!(pages(2), 2 * pages(1));
    assert!(media.document_upper(Document { pages: Some(1) }) >= pages(1));
    assert_eq!(Media::for_model("gemini-2.5-pro").audio(1500), 48);
    assert_eq!(
        Media::for_model("gemini-2.5-pro").document(Document { pages: Some(3) }),
        774
    );
}
