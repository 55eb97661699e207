using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.IoPagetable.Trees;

// Inserting and removing. A descent changes one leaf and then, on its way back, the summaries above it, recomputing only where a summary
// changed. If ranges arrive in ascending order, a split leaves most of the full leaf behind, so that leaves pack tightly. A node below
// MinFill borrows from its neighbour or joins it; joining requires both to be small, so that mapping and unmapping at the same place does
// not split and join forever.

internal sealed partial class RangeTree<T>
{
    private const int JoinedFill = Capacity * 3 / 4;
    private const int FirstLeafCapacity = 4;

    /// <summary>Adds a range; false, with nothing changed, if it overlaps an existing one.</summary>
    public bool TryInsert(IovaRange range, T value)
    {
        if (_root is null)
        {
            // Most tables are small: a lone leaf starts small and grows.
            _root = Node.Leaf(FirstLeafCapacity);
            _root.Entries![0] = new RangeEntry<T>(range, value);
            _root.Count = 1;
            _summary = Summarize(_root);
        }
        else
        {
            Node? right = null;
            Summary rightSummary = default;
            if (!Insert(_root, ref _summary, new RangeEntry<T>(range, value), ref right, ref rightSummary))
            {
                return false;
            }

            if (right is not null)
            {
                GrowRoot(_root, right, rightSummary);
            }
        }

        Count++;
        CheckInvariants();
        return true;
    }

    /// <summary>Removes the range that starts at an IOVA; false if none does.</summary>
    public bool Remove(ulong start)
    {
        if (_root is null || start > _summary.Last || !Remove(_root, ref _summary, start))
        {
            return false;
        }

        Count--;
        if (_root.Count == 0)
        {
            _root = null;
        }
        else if (_root is { Count: 1, Children: { } children })
        {
            _root = children[0];
        }

        CheckInvariants();
        return true;
    }

    private static bool Insert(Node node, ref Summary summary, in RangeEntry<T> entry, ref Node? right, ref Summary rightSummary)
    {
        if (node.Entries is { } entries)
        {
            var position = IndexByLast(entries, node.Count, entry.Range.Start);
            if (position < node.Count && entries[position].Range.Start <= entry.Range.Last)
            {
                return false;
            }

            InsertIntoLeaf(node, ref summary, position, entry, ref right, ref rightSummary);
            return true;
        }

        // A range behind the last child goes into the last child.
        var index = Math.Min(IndexByLast(node.Summaries!, node.Count, entry.Range.Start), node.Count - 1);
        ref var child = ref node.Summaries![index];
        var before = child;
        Node? newChild = null;
        Summary newSummary = default;
        if (!Insert(node.Children![index], ref child, entry, ref newChild, ref newSummary))
        {
            return false;
        }

        if (newChild is null)
        {
            Refresh(node, index, before, ref summary);
            return true;
        }

        if (node.Count == Capacity)
        {
            var kept = index == Capacity - 1 ? Capacity - MinFill : Capacity / 2;
            right = Node.Inner();
            Move(node, kept, right, 0, Capacity - kept);
            var target = index < kept ? node : right;
            InsertChild(target, index < kept ? index + 1 : index + 1 - kept, newChild, newSummary);
            rightSummary = Summarize(right);
        }
        else
        {
            InsertChild(node, index + 1, newChild, newSummary);
        }

        summary = Summarize(node);
        return true;
    }

    private static void InsertIntoLeaf(Node leaf, ref Summary summary, int position, in RangeEntry<T> entry, ref Node? right, ref Summary rightSummary)
    {
        if (leaf.Count == Capacity)
        {
            var kept = position == Capacity ? Capacity - MinFill : Capacity / 2;
            right = Node.Leaf(Capacity);
            Move(leaf, kept, right, 0, Capacity - kept);
            var target = position < kept ? leaf : right;
            InsertAt(target.Entries!, position < kept ? position : position - kept, ref target.Count, entry);
            summary = Summarize(leaf);
            rightSummary = Summarize(right);
            return;
        }

        if (leaf.Count == leaf.Entries!.Length)
        {
            Array.Resize(ref leaf.Entries, leaf.Count * 2);
        }

        var entries = leaf.Entries;
        InsertAt(entries, position, ref leaf.Count, entry);
        var hasLower = position > 0;
        var hasHigher = position < leaf.Count - 1;
        var below = hasLower ? GapBetween(entries[position - 1], entry) : default;
        var above = hasHigher ? GapBetween(entry, entries[position + 1]) : default;
        var split = hasLower && hasHigher ? GapBetween(entries[position - 1], entries[position + 1]) : default;
        summary.First = entries[0].Range.Start;
        summary.Last = entries[leaf.Count - 1].Range.Last;
        Replace(leaf, split, GapSizes.Max(below, above), ref summary.Gaps);
    }

    private static bool Remove(Node node, ref Summary summary, ulong start)
    {
        if (node.Entries is { } entries)
        {
            var position = IndexByLast(entries, node.Count, start);
            if (entries[position].Range.Start != start)
            {
                return false;
            }

            RemoveFromLeaf(node, ref summary, position);
            return true;
        }

        var index = IndexByLast(node.Summaries!, node.Count, start);
        ref var child = ref node.Summaries![index];
        var before = child;
        if (!Remove(node.Children![index], ref child, start))
        {
            return false;
        }

        if (node.Children[index].Count < MinFill)
        {
            Refill(node, Math.Max(index - 1, 0));
            summary = Summarize(node);
        }
        else
        {
            Refresh(node, index, before, ref summary);
        }

        return true;
    }

    private static void RemoveFromLeaf(Node leaf, ref Summary summary, int position)
    {
        var entries = leaf.Entries!;
        var hasLower = position > 0;
        var hasHigher = position < leaf.Count - 1;
        var below = hasLower ? GapBetween(entries[position - 1], entries[position]) : default;
        var above = hasHigher ? GapBetween(entries[position], entries[position + 1]) : default;
        RemoveAt(entries, position, ref leaf.Count);
        if (leaf.Count == 0)
        {
            return;
        }

        var joined = hasLower && hasHigher ? GapBetween(entries[position - 1], entries[position]) : default;
        summary.First = entries[0].Range.Start;
        summary.Last = entries[leaf.Count - 1].Range.Last;
        Replace(leaf, GapSizes.Max(below, above), joined, ref summary.Gaps);
    }

    // Brings children left and left + 1, one of which is below MinFill, back to MinFill or joined. The caller updates the parent's own
    // summary.
    private static void Refill(Node parent, int left)
    {
        var children = parent.Children!;
        Node low = children[left], high = children[left + 1];
        var total = low.Count + high.Count;
        if (total <= JoinedFill)
        {
            Move(high, 0, low, low.Count, high.Count);
            RemoveAt(children, left + 1, ref parent.Count);
            parent.Count++;
            RemoveAt(parent.Summaries!, left + 1, ref parent.Count);
        }
        else if (low.Count > high.Count)
        {
            Move(low, total / 2, high, 0, low.Count - (total / 2));
        }
        else
        {
            Move(high, 0, low, low.Count, (total / 2) - low.Count);
        }

        parent.Summaries![left] = Summarize(low);
        if (total > JoinedFill)
        {
            parent.Summaries[left + 1] = Summarize(high);
        }
    }

    private void GrowRoot(Node left, Node right, in Summary rightSummary)
    {
        _root = Node.Inner();
        InsertChild(_root, 0, left, _summary);
        InsertChild(_root, 1, right, rightSummary);
        _summary = Summarize(_root);
    }

    private static void InsertChild(Node node, int index, Node child, in Summary summary)
    {
        InsertAt(node.Children!, index, ref node.Count, child);
        node.Count--;
        InsertAt(node.Summaries!, index, ref node.Count, summary);
    }

    // Moves entries to a place in another node of the same kind, making room there and closing the gap here.
    private static void Move(Node from, int start, Node to, int index, int count)
    {
        if (from.Entries is { } entries)
        {
            MoveItems(entries, from.Count, start, to.Entries!, to.Count, index, count);
        }
        else
        {
            MoveItems(from.Children!, from.Count, start, to.Children!, to.Count, index, count);
            MoveItems(from.Summaries!, from.Count, start, to.Summaries!, to.Count, index, count);
        }

        from.Count -= count;
        to.Count += count;
    }

    private static void MoveItems<TItem>(TItem[] from, int fromCount, int start, TItem[] to, int toCount, int index, int count)
    {
        Array.Copy(to, index, to, index + count, toCount - index);
        Array.Copy(from, start, to, index, count);
        Array.Copy(from, start + count, from, start, fromCount - start - count);
        Array.Clear(from, fromCount - count, count);
    }

    private static void InsertAt<TItem>(TItem[] items, int index, ref int count, TItem item)
    {
        Array.Copy(items, index, items, index + 1, count - index);
        items[index] = item;
        count++;
    }

    private static void RemoveAt<TItem>(TItem[] items, int index, ref int count)
    {
        count--;
        Array.Copy(items, index + 1, items, index, count - index);
        items[count] = default!;
    }
}
