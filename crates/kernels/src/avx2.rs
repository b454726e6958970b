//! Vectors of eight lanes, for AVX2 with FMA and F16C.

use core::arch::x86_64::{
    __m128i, __m256, __m256i, _MM_HINT_T1, _mm_add_ps, _mm_add_ss, _mm_cvtss_f32, _mm_loadu_si128,
    _mm_movehdup_ps, _mm_movehl_ps, _mm_prefetch, _mm256_abs_epi8, _mm256_add_epi32, _mm256_add_ps,
    _mm256_and_si256, _mm256_castps_si256, _mm256_castps256_ps128, _mm256_castsi128_si256,
    _mm256_castsi256_ps, _mm256_castsi256_si128, _mm256_cvtepi32_ps, _mm256_cvtph_ps,
    _mm256_extractf128_ps, _mm256_fmadd_ps, _mm256_inserti128_si256, _mm256_loadu_ps,
    _mm256_loadu_si256, _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_mul_ps, _mm256_mullo_epi32,
    _mm256_or_si256, _mm256_packus_epi32, _mm256_permute4x64_epi64, _mm256_set1_epi16,
    _mm256_set1_epi32, _mm256_set1_ps, _mm256_sign_epi8, _mm256_slli_epi32, _mm256_srai_epi32,
    _mm256_srli_epi32, _mm256_storeu_ps, _mm256_storeu_si256, _mm256_sub_ps, _mm256_unpackhi_epi32,
    _mm256_unpackhi_epi64, _mm256_unpacklo_epi32, _mm256_unpacklo_epi64,
};

use crate::panel::kernels;
use crate::unpack::unpackers;
use crate::vector::steps;

const L: usize = 8;
const GROUP: usize = 4;
/// What `flip` adds to the signed bytes of Q8_0.
const BYTE_OFFSET: i32 = 0;

type V = __m256i;
type F = __m256;

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn load(words: &[u32; L]) -> V {
    // SAFETY: the array has as many bytes as the vector; the load needs no alignment.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn store(to: &mut [u32; L], words: V) {
    // SAFETY: the array has as many bytes as the vector; the store needs no alignment.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), words) }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn load_floats(x: &[f32; L]) -> F {
    // SAFETY: the array has as many bytes as the vector; the load needs no alignment.
    unsafe { _mm256_loadu_ps(x.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn store_floats(to: &mut [f32; L], x: F) {
    // SAFETY: the array has as many bytes as the vector; the store needs no alignment.
    unsafe { _mm256_storeu_ps(to.as_mut_ptr(), x) }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn splat(word: i32) -> V {
    _mm256_set1_epi32(word)
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn and(a: V, mask: u32) -> V {
    _mm256_and_si256(a, splat(mask.cast_signed()))
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn or(a: V, b: V) -> V {
    _mm256_or_si256(a, b)
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn left<const N: i32>(a: V) -> V {
    _mm256_slli_epi32::<N>(a)
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn right<const N: i32>(a: V) -> V {
    _mm256_srli_epi32::<N>(a)
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn right_signed<const N: i32>(a: V) -> V {
    _mm256_srai_epi32::<N>(a)
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn add(a: V, b: V) -> V {
    _mm256_add_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn multiply_words(a: V, b: V) -> V {
    _mm256_mullo_epi32(a, b)
}

/// Adds the products of unsigned bytes below 64 and signed ones.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn dot_bytes(sum: V, a: V, b: V) -> V {
    let pairs = _mm256_maddubs_epi16(a, b);
    _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
}

/// Adds the products of bytes that went through `flip` and signed ones.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn dot_full_bytes(sum: V, a: V, b: V) -> V {
    // Pairs of 128 * 127 stay within 16 bits.
    let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(a), _mm256_sign_epi8(b, a));
    _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn flip(a: V) -> V {
    a
}

/// Adds the products of signed pairs.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn dot_pairs(sum: V, a: V, b: V) -> V {
    _mm256_add_epi32(sum, _mm256_madd_epi16(a, b))
}

/// The low half of every lane.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn halves(a: V) -> F {
    let low = _mm256_and_si256(a, splat(0xffff));
    let packed = _mm256_packus_epi32(low, low);
    let packed = _mm256_permute4x64_epi64::<0b00_00_10_00>(packed);
    _mm256_cvtph_ps(_mm256_castsi256_si128(packed))
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn to_floats(a: V) -> F {
    _mm256_cvtepi32_ps(a)
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn as_floats(a: V) -> F {
    _mm256_castsi256_ps(a)
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn as_words(a: F) -> V {
    _mm256_castps_si256(a)
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn splat_float(x: f32) -> F {
    _mm256_set1_ps(x)
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn add_floats(a: F, b: F) -> F {
    _mm256_add_ps(a, b)
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn subtract_floats(a: F, b: F) -> F {
    _mm256_sub_ps(a, b)
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn multiply_floats(a: F, b: F) -> F {
    _mm256_mul_ps(a, b)
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn multiply_add(a: F, b: F, c: F) -> F {
    _mm256_fmadd_ps(a, b, c)
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn sum_of(a: F) -> f32 {
    let half = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
    let quarter = _mm_add_ps(half, _mm_movehl_ps(half, half));
    _mm_cvtss_f32(_mm_add_ss(quarter, _mm_movehdup_ps(quarter)))
}

/// Brings bytes nearer that will be read soon.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn fetch(bytes: &[u8]) {
    for line in bytes.chunks(64) {
        _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast());
    }
}

/// Halves as f32.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn widened(halves: &[u16; L]) -> F {
    // SAFETY: the array has as many bytes as half a vector; the load needs no alignment.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(halves.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn sixteen<const SIZE: usize>(row: &[u8; SIZE], at: usize) -> __m128i {
    let bytes = &row[at..at + 16];
    // SAFETY: the slice has 16 bytes; the load needs no alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

/// Four words of every block, from a byte on.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn transposed<const SIZE: usize>(rows: &[&[u8; SIZE]; L], at: usize) -> [V; 4] {
    let mut quads = [splat(0); 4];
    for (i, quad) in quads.iter_mut().enumerate() {
        let low = _mm256_castsi128_si256(sixteen(rows[i], at));
        *quad = _mm256_inserti128_si256::<1>(low, sixteen(rows[4 + i], at));
    }
    let a = _mm256_unpacklo_epi32(quads[0], quads[1]);
    let b = _mm256_unpackhi_epi32(quads[0], quads[1]);
    let c = _mm256_unpacklo_epi32(quads[2], quads[3]);
    let d = _mm256_unpackhi_epi32(quads[2], quads[3]);
    [
        _mm256_unpacklo_epi64(a, c),
        _mm256_unpackhi_epi64(a, c),
        _mm256_unpacklo_epi64(b, d),
        _mm256_unpackhi_epi64(b, d),
    ]
}

unpackers!(#[target_feature(enable = "avx2,fma,f16c")]);
kernels!(#[target_feature(enable = "avx2,fma,f16c")]);
steps!(#[target_feature(enable = "avx2,fma,f16c")]);
