namespace IommuFd.GrainInterfaces;

/// <summary>What an object's own grain knows of it, for programs. Each kind of object has its record; people are shown an inspection's summary and facts.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.ObjectState")]
public abstract record ObjectState;
