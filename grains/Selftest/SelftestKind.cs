using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Model;

namespace IommuFd.Grains.Selftest;

/// <summary>The owners of emulated devices. Such an owner has no state that its context does not have, so no grain.</summary>
internal sealed class SelftestKind : GrainKind
{
    public static readonly SelftestKind Instance = new();

    public override ObjectType Type => ObjectType.Selftest;

    public override ObjectEntry? AggregateOf(ObjectEntry entry) => null;

    public override ObjectEntry Restore(ContextModel context, ObjectId id, long serial, EntrySnapshot? snapshot) => new SelftestEntry(id, serial);

    public override ObjectState Describe(ObjectEntry entry) => new SelftestState(((SelftestEntry)entry).Device?.Id ?? default);

    /// <summary>Its device is detached and unbound.</summary>
    public override ValueTask DestroyAsync(IoctlScope scope, ObjectEntry entry) => SelftestHandlers.UnbindAsync(scope, (SelftestEntry)entry);

    public override string Summarize(ObjectEntry entry, ObjectState state) => $"owns device {((SelftestState)state).Device}";

    public override ObjectFact[] FactsOf(ObjectEntry entry, ObjectState state) => [new("owns", $"device {((SelftestState)state).Device}")];
}
