"""What survives a product?"""

import streamlit as st

from pages.ui import accumulations, frame, own_pair, products, snippets
from pages.ui.charts import matmul as charts
from pages.ui.language import tr
from pages.ui.view import OWN

view = frame.page(__file__, "source", "seed", "outlier", "tail", "recipes", "inner", "smoothing")
view = own_pair.draw(view)
growth, at_inner = products.growth(view), products.at_inner(view)
k = at_inner[0].k

st.markdown(
    tr("A is the tensor you chose, cut to {rows} rows; B holds normal random numbers. Both are smoothed where you ask for it and quantized with the same recipe, blocks along K, and A · B is compared with the product of the matrices before that. Sums are taken in float64, so that only the quantization shows.").format(rows=products.SIDE)
)
frame.heading(tr("Longer sums, larger errors"))
left, right = st.columns(2)
with left:
    frame.figure(charts.growth_figure(growth), "matmul_growth", tr("**What you see:** the rounding errors of the K terms are as often up as down, so that their sum grows like √K, not like K."))
with right:
    frame.figure(charts.sqnr_figure(growth), "matmul_sqnr", tr("**What you see:** the product itself grows like √K too, as long as its terms have mean zero. So its SQNR stays where it is: about 3 dB below that of A and B, because both bring noise. An integer with one scale loses a little as K grows, because more numbers hold a larger largest one."))

frame.heading(tr("By recipe, at K = {k}").format(k=k))
if k < view.inner:
    st.caption(tr("This tensor has {k} columns only.").format(k=k))
frame.flowing_metrics(products.headline(at_inner))
frame.table(products.table(at_inner), "products", column_config=products.columns())

frame.heading(tr("One loud column"))
if k > 1:
    note = tr("**What you see:** the first column of A is made larger and larger, and the curve is what becomes of all the other columns' share of the product. An integer with one scale loses 20 dB with every factor of ten; floating point keeps its precision until the small numbers fall below its range; blocks confine the damage. The SQNR of the whole product (hover) hides all of it, because the loud column dominates it.")
    frame.figure(charts.outlier_figure(products.outliers(view)), "matmul_outlier", note)
else:
    st.info(tr("This tensor has one column; there is no other that an outlier could harm."))

frame.heading(tr("What the accumulator loses"))
st.markdown(
    tr(
        "FP32 accumulation adds one product after the other to a number with 23 binary places, so that next to nothing is lost; a unit that truncates to 13 takes a step of products and the sum so far, cuts each of them 13 binary places below the largest, and adds what is left. "
        "Promotion hands the sum to a float32 register every so many products, 128 in DeepSeek-V3, and begins again at zero, so that no sum grows large enough to lose much."
    )
)
view = frame.control("accumulators")
if OWN in view.accumulators:
    bits, interval = st.columns(2, gap="medium")
    with bits:
        view = frame.control("fraction_bits")
    with interval:
        view = frame.control("promotion")
grown, quantized = accumulations.growth(view), accumulations.quantization(view)
frame.figure(
    charts.accumulation_figure({accumulations.heading(mean): (grown[mean], quantized[mean]) for mean in grown}, accumulations.units(view)),
    "matmul_accumulators",
    tr("**What you see:** sums of random numbers in E4M3, against the exact sums of the same codes. Where signs are mixed, what is cut off cancels in part; where most are positive, the sum grows with K, more is cut at every step, always downwards, and in the end the unit loses more than the rounding to E4M3 did."),
)
st.markdown("**" + tr("At K = {k}, in per cent of the rms of the exact sums").format(k=view.inner) + "**")
frame.table(accumulations.table(view), "accumulators", column_config=accumulations.columns())

frame.explain(
    tr("Why is the product 3 dB worse than its factors?"),
    tr("Write Â = A + E and B̂ = B + F. Then ÂB̂ = AB + EB + AF + EF, and EF is small. EB carries the noise share of A, AF that of B. If the errors do not depend on the numbers, the two shares add: two factors with 30 dB each give 27 dB. The table's column \"if errors were independent\" is that sum; where the measured value differs much, errors and numbers do depend on each other, as they do with outliers."),
)
frame.explain(
    tr("What is not shown here?"),
    tr(
        "Above, sums are taken in float64. The last section does not run on a GPU either: it emulates NVIDIA's FP8 units, bit for bit as the package mmaemu does, which replays recordings of an H100 and an RTX 4060; "
        "Blackwell's numbers are taken from a paper. Left out are the units of other makers, scales that the unit itself applies (MXFP8 and NVFP4 on Blackwell), the splitting of K over several parts of a GPU, and the rounding of the result to BF16. "
        "The page \"Benchmark\" measures kernels as they are."
    ),
)
frame.copy_python(snippets.program(products.as_python(view, k), accumulations.as_python(view)))
