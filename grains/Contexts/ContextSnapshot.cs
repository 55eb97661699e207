namespace IommuFd.Grains.Contexts;

/// <summary>A context and all its objects, written down.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.ContextSnapshot")]
internal sealed record ContextSnapshot;

/// <summary>Writes contexts down, and makes them again.</summary>
internal static class ContextSnapshots
{
    /// <summary>Writes a context down, with the state of its objects' grains. Between turns.</summary>
    public static ValueTask<ContextSnapshot> CaptureAsync(ContextModel context, ObjectGrains grains) => throw new NotSupportedException($"{context} {grains}");

    /// <summary>Makes a context as it was written down. The objects' grains begin a life of the epoch that <paramref name="grains"/> has.</summary>
    public static ValueTask<ContextModel> RestoreAsync(ContextSnapshot snapshot, ObjectGrains grains) => throw new NotSupportedException($"{snapshot} {grains}");
}
