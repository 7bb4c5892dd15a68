"""What the tables of runs and the verdicts on targets look like, in every *_table.py."""
import statistics


def cell(values, divisor, decimals):
    """Their median; and of several the least and the most, in brackets."""
    if not values:
        return "-"
    texts = [f"{value / divisor:.{decimals}f}" for value in
             (statistics.median(values), min(values), max(values))]
    return texts[0] if len(values) == 1 else f"{texts[0]} [{texts[1]}..{texts[2]}]"


def print_table(table):
    """Rows of texts, the headings first; and a blank line."""
    widths = [max(len(text) for text in column) for column in zip(*table)]
    for row in table:
        print("  ".join(text.rjust(width) for text, width in zip(row, widths)).rstrip())
    print()


def print_target(what, value, holds, bound, unit):
    """bound: in words, "at most 3"; value: None when it was not measured, whatever `holds` says."""
    if value is None:
        verdict, told = "not measured", ""
    else:
        verdict, told = ("holds" if holds else "DOES NOT HOLD"), f"{value:.2f}{unit}, "
    print(f"{verdict:>14}  {what}: {told}{bound}{unit}")
