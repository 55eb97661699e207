namespace IommuFd.Grains.Encoding;

/// <summary>The saved state of an object's grain. Each kind of object derives its own record, which only its grain reads.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.ObjectSnapshot")]
internal abstract record ObjectSnapshot
{
    /// <summary>Whether it is the state of an object whose grain was never called, so that it need not be restored.</summary>
    public abstract bool IsFirstState { get; }
}
