namespace IommuFd.Grains.Encoding;

/// <summary>The state of an object's grain, written down. Each kind of object has its record, which only its own grain reads.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.ObjectSnapshot")]
internal abstract record ObjectSnapshot
{
    /// <summary>Whether it is the state of an object that was never called, so that there is no need to restore it.</summary>
    public abstract bool IsFirstState { get; }
}
