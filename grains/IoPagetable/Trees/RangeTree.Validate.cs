using System.Diagnostics;

namespace IommuFd.Grains.IoPagetable.Trees;

// The invariants of the tree, checked from scratch. Debug builds check once in as many changes as the tree has ranges, which keeps checking
// proportionate; tests call Validate at any time.

internal sealed partial class RangeTree<T>
{
    private int _unchecked;

    /// <summary>Throws if an invariant does not hold.</summary>
    public void Validate()
    {
        if (_root is null)
        {
            Require(Count == 0, "An empty tree counts no ranges.");
            return;
        }

        var count = 0;
        var depth = -1;
        Validate(_root, _summary, level: 0, ref depth, ref count);
        Require(count == Count, "Count is the number of ranges.");
    }

    [Conditional("DEBUG")]
    private void CheckInvariants()
    {
        if (++_unchecked >= Count)
        {
            _unchecked = 0;
            Validate();
        }
    }

    private static void Validate(Node node, in Summary summary, int level, ref int depth, ref int count)
    {
        Require(node.Count is > 0 and <= Capacity && (level == 0 || node.Count >= MinFill), "A node is neither overfull nor nearly empty.");
        if (node.Entries is { } entries)
        {
            Require(depth < 0 || depth == level, "All leaves are equally deep.");
            depth = level;
            count += node.Count;
            for (var i = 0; i < node.Count; i++)
            {
                Require(entries[i].Range.Start <= entries[i].Range.Last, "No range is empty.");
                Require(i == 0 || entries[i - 1].Range.Last < entries[i].Range.Start, "Ranges ascend and do not overlap.");
            }
        }
        else
        {
            for (var i = 0; i < node.Count; i++)
            {
                Require(i == 0 || node.Summaries![i - 1].Last < node.Summaries[i].First, "Subtrees ascend and do not overlap.");
                Validate(node.Children![i], node.Summaries![i], level + 1, ref depth, ref count);
            }
        }

        Require(summary.Equals(Summarize(node)), "A summary says what is under its node.");
    }

    private static void Require(bool holds, string rule)
    {
        if (!holds)
        {
            throw new InvalidOperationException($"The tree of ranges is broken: {rule}");
        }
    }
}
