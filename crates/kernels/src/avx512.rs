//! Vectors of sixteen lanes, with the byte products of AVX-512 VNNI.

use core::arch::x86_64::{
    __m128i, __m512, __m512i, _MM_HINT_T1, _mm_loadu_si128, _mm_prefetch, _mm256_loadu_si256,
    _mm512_add_epi32, _mm512_add_ps, _mm512_and_si512, _mm512_castps_si512, _mm512_castsi128_si512,
    _mm512_castsi512_ps, _mm512_cvtepi32_epi16, _mm512_cvtepi32_ps, _mm512_cvtph_ps,
    _mm512_dpbusd_epi32, _mm512_dpwssd_epi32, _mm512_fmadd_ps, _mm512_inserti32x4, _mm512_loadu_ps,
    _mm512_loadu_si512, _mm512_mul_ps, _mm512_mullo_epi32, _mm512_or_si512, _mm512_reduce_add_ps,
    _mm512_set1_epi32, _mm512_set1_ps, _mm512_slli_epi32, _mm512_srai_epi32, _mm512_srli_epi32,
    _mm512_storeu_ps, _mm512_storeu_si512, _mm512_sub_ps, _mm512_unpackhi_epi32,
    _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64, _mm512_xor_si512,
};

use crate::panel::kernels;
use crate::unpack::unpackers;
use crate::vector::steps;

const L: usize = 16;
const GROUP: usize = 8;
/// What `flip` adds to the signed bytes of Q8_0.
const BYTE_OFFSET: i32 = 128;

type V = __m512i;
type F = __m512;

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
fn load(words: &[u32; L]) -> V {
    // SAFETY: the array has as many bytes as the vector; the load needs no alignment.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
fn store(to: &mut [u32; L], words: V) {
    // SAFETY: the array has as many bytes as the vector; the store needs no alignment.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), words) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
fn load_floats(x: &[f32; L]) -> F {
    // SAFETY: the array has as many bytes as the vector; the load needs no alignment.
    unsafe { _mm512_loadu_ps(x.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
fn store_floats(to: &mut [f32; L], x: F) {
    // SAFETY: the array has as many bytes as the vector; the store needs no alignment.
    unsafe { _mm512_storeu_ps(to.as_mut_ptr(), x) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
fn splat(word: i32) -> V {
    _mm512_set1_epi32(word)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
fn and(a: V, mask: u32) -> V {
    _mm512_and_si512(a, splat(mask.cast_signed()))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
fn or(a: V, b: V) -> V {
    _mm512_or_si512(a, b)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
fn left<const N: u32>(a: V) -> V {
    _mm512_slli_epi32::<N>(a)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
fn right<const N: u32>(a: V) -> V {
    _mm512_srli_epi32::<N>(a)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
fn right_signed<const N: u32>(a: V) -> V {
    _mm512_srai_epi32::<N>(a)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
fn add(a: V, b: V) -> V {
    _mm512_add_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
fn multiply_words(a: V, b: V) -> V {
    _mm512_mullo_epi32(a, b)
}

/// Adds the products of unsigned bytes below 64 and signed ones.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
fn dot_bytes(sum: V, a: V, b: V) -> V {
    _mm512_dpbusd_epi32(sum, a, b)
}

/// Adds the products of bytes that went through `flip` and signed ones.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
fn dot_full_bytes(sum: V, a: V, b: V) -> V {
    _mm512_dpbusd_epi32(sum, a, b)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
fn flip(a: V) -> V {
    _mm512_xor_si512(a, splat(0x8080_8080_u32.cast_signed()))
}

/// Adds the products of signed pairs.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
fn dot_pairs(sum: V, a: V, b: V) -> V {
    _mm512_dpwssd_epi32(sum, a, b)
}

/// The low half of every lane.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
fn halves(a: V) -> F {
    _mm512_cvtph_ps(_mm512_cvtepi32_epi16(a))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
fn to_floats(a: V) -> F {
    _mm512_cvtepi32_ps(a)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
fn as_floats(a: V) -> F {
    _mm512_castsi512_ps(a)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
fn as_words(a: F) -> V {
    _mm512_castps_si512(a)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
fn splat_float(x: f32) -> F {
    _mm512_set1_ps(x)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
fn add_floats(a: F, b: F) -> F {
    _mm512_add_ps(a, b)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
fn subtract_floats(a: F, b: F) -> F {
    _mm512_sub_ps(a, b)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
fn multiply_floats(a: F, b: F) -> F {
    _mm512_mul_ps(a, b)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
fn multiply_add(a: F, b: F, c: F) -> F {
    _mm512_fmadd_ps(a, b, c)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
fn sum_of(a: F) -> f32 {
    _mm512_reduce_add_ps(a)
}

/// Brings bytes nearer that will be read soon.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
fn fetch(bytes: &[u8]) {
    for line in bytes.chunks(64) {
        _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast());
    }
}

/// Halves as f32.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
fn widened(halves: &[u16; L]) -> F {
    // SAFETY: the array has as many bytes as half a vector; the load needs no alignment.
    _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(halves.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
fn sixteen<const SIZE: usize>(row: &[u8; SIZE], at: usize) -> __m128i {
    let bytes = &row[at..at + 16];
    // SAFETY: the slice has 16 bytes; the load needs no alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

/// Four words of every block, from a byte on.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
fn transposed<const SIZE: usize>(rows: &[&[u8; SIZE]; L], at: usize) -> [V; 4] {
    let mut quads = [splat(0); 4];
    for (i, quad) in quads.iter_mut().enumerate() {
        let low = _mm512_castsi128_si512(sixteen(rows[i], at));
        let low = _mm512_inserti32x4::<1>(low, sixteen(rows[4 + i], at));
        let low = _mm512_inserti32x4::<2>(low, sixteen(rows[8 + i], at));
        *quad = _mm512_inserti32x4::<3>(low, sixteen(rows[12 + i], at));
    }
    let a = _mm512_unpacklo_epi32(quads[0], quads[1]);
    let b = _mm512_unpackhi_epi32(quads[0], quads[1]);
    let c = _mm512_unpacklo_epi32(quads[2], quads[3]);
    let d = _mm512_unpackhi_epi32(quads[2], quads[3]);
    [
        _mm512_unpacklo_epi64(a, c),
        _mm512_unpackhi_epi64(a, c),
        _mm512_unpacklo_epi64(b, d),
        _mm512_unpackhi_epi64(b, d),
    ]
}

unpackers!(#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]);
kernels!(#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]);
steps!(#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]);
